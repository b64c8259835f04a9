"""The shipped table of graphics cards, and what a table is refused for."""

import re

import pytest

from xcompat.diagnosis.gpu import outlook_of
from xcompat.domain import Environment
from xcompat.domain.gpu import Card, Graphics
from xcompat.errors import CannotLook
from xcompat.matrix.gpu import SHIPPED, load_gpu
from xcompat.matrix.load import load_matrix

DATA = load_gpu()


def test_every_torch_that_was_run_is_known_on_linux():
    run = {each.environment.packages.get("torch", "") for each in load_matrix().runs}
    releases = {version.partition("+")[0] for version in run if "dev" not in version} - {""}
    known = {version for name, version, platform in DATA.wheels if name == "torch"}
    assert releases
    assert releases <= known


def test_what_was_read_agrees_with_what_was_published():
    read = {
        (version, build): held
        for (name, version, platform), (build, held) in DATA.wheels.items()
        if (name, platform) == ("torch", "linux-x86_64")
    }
    compared = 0
    for (version, build), held in read.items():
        published = DATA.releases[".".join(version.split(".")[:2])].get(build)
        if published is not None:
            assert held == published, version
            compared += 1
    assert compared > 20


def test_what_the_default_index_gives_for_windows_is_for_the_cpu():
    builds = {what[0] for (_, _, platform), what in DATA.wheels.items() if platform == "win-amd64"}
    assert builds == {"cpu"}


def test_every_build_for_cuda_has_a_least_driver():
    builds = {build for held in DATA.releases.values() for build in held}
    builds |= {build for build, _ in DATA.wheels.values()}
    majors = {int(match[1]) for each in builds if (match := re.fullmatch(r"cu(\d+)\d", each))}
    assert majors == DATA.drivers.keys()


def test_every_table_by_hand_has_its_sources():
    by_hand = SHIPPED.read_text("utf-8").partition("[[wheel]]")[0]
    tables = re.split(r"^\[\[(?:cuda|release)\]\]$", by_hand, flags=re.MULTILINE)[1:]
    assert len(tables) > 10
    assert all("sources = [" in table for table in tables)


def test_signs_of_the_cards_are_explained_by_known_issues():
    graphics = Graphics((Card("nvidia", "Tesla T4", "sm_75", 2000),), {"nvidia": "470.82.01"})
    here = Environment(
        python="3.11.7",
        platform="linux-x86_64",
        packages={"torch": "2.8.0"},
        source="",
        builds={"torch": "cu128"},
    )
    told = outlook_of(here, graphics, DATA)
    assert {*told.signs} == {"gpu-old-driver", "gpu-small"}
    explained = {s for issue in load_matrix().issues for c in issue.conditions for s in c.signs}
    assert {*told.signs} < explained


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[memory]", "[memories]", "memory must be a table"),
        ("major = 11", 'major = "11"', "`major` must be a number"),
        ('linux = "580"', "linux = 580", "`linux` must be text"),
        ("[release.builds]", "[release.build", ""),
    ],
)
def test_a_table_that_is_none(tmp_path, old, new, said):
    text = SHIPPED.read_text("utf-8")
    assert old in text
    file = tmp_path / "gpu.toml"
    file.write_text(text.replace(old, new))
    with pytest.raises(CannotLook) as caught:
        load_gpu(file)
    assert caught.value.code == "XC223"
    assert said in caught.value.message


def test_a_table_that_is_missing(tmp_path):
    with pytest.raises(CannotLook, match="cannot be read"):
        load_gpu(tmp_path / "gpu.toml")
