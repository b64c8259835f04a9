"""The recipe and the image ask for what the project asks for, and run what it has."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import Requirement

from xcompat import __version__

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
RECIPE = (ROOT / "recipe/recipe.yaml").read_text("utf-8")
IMAGE = (ROOT / "Dockerfile").read_text("utf-8")
CONDA_NAMES = {"isal": "python-isal"}


def test_the_recipe_asks_for_what_the_project_asks_for() -> None:
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", PROJECT, re.MULTILINE | re.DOTALL)
    wanted = {}
    for line in re.findall(r'^    "(.*)",$', block, re.MULTILINE):
        each = Requirement(line)
        wanted[CONDA_NAMES.get(each.name, each.name)] = str(each.specifier)
    (run,) = re.findall(r"^  run:\n(.*?)^$", RECIPE, re.MULTILINE | re.DOTALL)
    told = dict(re.findall(r"^    - ([\w-]+) (>=[\d.]+)$", run, re.MULTILINE))
    assert told == wanted


def test_the_recipe_is_of_this_version_and_its_pythons() -> None:
    assert f'version: "{__version__}"' in RECIPE
    (least,) = re.findall(r'^requires-python = ">=(.*)"$', PROJECT, re.MULTILINE)
    assert f'python_min: "{least}"' in RECIPE


def test_the_image_has_what_was_run_and_no_rights() -> None:
    (extra,) = re.findall(r"^xtts = \[\n(.*?)^\]", PROJECT, re.MULTILINE | re.DOTALL)
    for name in ("torch", "torchaudio"):
        (pinned,) = re.findall(rf'"{name}==([\d.]+)"', extra)
        assert f'"{name}=={pinned}+cpu"' in IMAGE
    user = IMAGE.index("\nUSER speaker")
    assert user > IMAGE.rindex("\nRUN ")
    assert IMAGE.index("\nENTRYPOINT") > user


def test_what_the_image_is_made_of_is_let_in() -> None:
    let_in = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    for name in let_in:
        assert (ROOT / name).exists()
    folders = set(re.findall(r'^"?xcompat[\w.]*"? = "(\w+)[/\w]*"$', PROJECT, re.MULTILINE))
    assert folders <= set(let_in)
