"""Plans for machines with cards: which build of torch they install, and by which index."""

import pytest

from xcompat.diagnosis.gpu import outlook_of
from xcompat.domain import Environment
from xcompat.domain.gpu import Card, Graphics
from xcompat.domain.plan import Constraint
from xcompat.matrix.gpu import load_gpu
from xcompat.matrix.load import load_matrix
from xcompat.resolution.builds import with_builds
from xcompat.resolution.installation import Installation
from xcompat.resolution.resolve import plan

DATA, MATRIX = load_gpu(), load_matrix()
GTX_1060 = Graphics(
    (Card("nvidia", "NVIDIA GeForce GTX 1060 6GB", "sm_61", 6144),), {"nvidia": "535.183.01"}
)
COQUI = {
    "coqui-tts": "0.28.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5",
    "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6", "tokenizers": "0.22.2",
    "numpy": "2.4.6", "six": "1.17.0",
}  # fmt: skip


def planned(graphics=GTX_1060, keep="==2.8.0", builds=None, **changes):
    """Return the best proposal for an environment on a machine with those graphics."""
    packages = {name: version for name, version in {**COQUI, **changes}.items() if version}
    here = Environment(
        python="3.11.7",
        platform="linux-x86_64",
        packages=packages,
        source="",
        builds=builds or {},
    )
    constraints = (Constraint(kind="keep", name="torch", specifier=keep),) if keep else ()
    made = plan(here, MATRIX, constraints)
    return with_builds(made, outlook_of(here, graphics, DATA), DATA).proposals[0]


def torches(proposal):
    return {each for each in proposal.requirements if each.startswith("torch")}


def test_torch_and_torchaudio_are_of_the_build_for_the_card():
    proposal = planned(torch="", torchaudio="")
    assert torches(proposal) == {"torch==2.8.0+cu126", "torchaudio==2.8.0+cu126"}
    assert {c.name: c.then for c in proposal.changes if c.name.startswith("torch")} == {
        "torch": "2.8.0+cu126",
        "torchaudio": "2.8.0+cu126",
    }
    assert "cu126 is the build for NVIDIA GeForce GTX 1060 6GB" in proposal.notes


def test_a_torchaudio_that_could_stay_goes_with_the_build():
    proposal = planned(torch="")
    assert torches(proposal) == {"torch==2.8.0+cu126", "torchaudio==2.8.0+cu126"}
    (change,) = [each for each in proposal.changes if each.name == "torchaudio"]
    assert (change.now, change.then) == ("2.8.0", "2.8.0+cu126")


def test_a_build_that_is_asked_for_is_not_changed():
    proposal = planned(torch="", torchaudio="", keep="==2.8.0+cu128")
    assert "torch==2.8.0+cu128" in proposal.requirements
    assert proposal.build == ""


def test_what_nobody_can_serve_is_left_to_the_default_index():
    no_card = Graphics((Card("amd", architecture="gfx803", memory=8192),))
    proposal = planned(no_card, torch="", torchaudio="")
    assert proposal.build == ""
    assert "torch==2.8.0" in proposal.requirements


def test_a_torch_that_stays_is_noted_and_not_changed():
    cpu = {"torch": "cpu", "torchaudio": "cpu"}
    proposal = planned(keep="", builds=cpu)
    assert not any(change.name == "torch" for change in proposal.changes)
    assert any("torch==2.8.0+cu126" in note for note in proposal.notes)
    used = planned(keep="", builds={"torch": "cu126", "torchaudio": "cu126"})
    assert not any("graphics" in note for note in used.notes)


@pytest.mark.parametrize("uv", ["/bin/uv", None])
def test_the_installer_is_told_the_index_where_it_fetches(uv):
    here = Installation(python="/x/python", prefix="/x", installed={}, uv=uv)
    built = here._replace(build="cu126")
    told = " ".join(built.command("install", "torch==2.8.0+cu126"))
    index = "--torch-backend cu126" if uv else "https://download.pytorch.org/whl/cu126"
    assert index in told
    assert built.command("uninstall", "torch") == here.command("uninstall", "torch")
