"""What the documentation says to type exists, and what it links to; the site has one address."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from builders.options import OPTIONS
from xcompat import version

ROOT = Path(__file__).parents[1]
SITE = (ROOT / "mkdocs.yml").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])
BLOCK = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(xcompat [^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
"""Where a link of Markdown leads."""
MADE = re.compile(r"(issues/|commands\.md|json\.md|schemas/)")
"""What the site makes of the code."""


def commands_in(page: Path) -> list[str]:
    """Return what a page says to type of xcompat."""
    text = page.read_text("utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|\||;", line)]
    return [each for each in parts if each.startswith("xcompat ")] + INLINE.findall(text)


def id_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_what_is_to_be_typed_is_what_the_commands_take(page: Path) -> None:
    for typed in commands_in(page):
        words = shlex.split(typed.replace("...", ""), comments=True)[1:]
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in OPTIONS, typed
        for word in words[1:]:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in OPTIONS[words[0]], typed


def test_there_is_something_to_type() -> None:
    assert sum(len(commands_in(page)) for page in PAGES) > 50


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in [first or second for first, second in LINK.findall(page.read_text("utf-8"))]:
        address, _, place = link.partition("#")
        if re.match(r"[a-z]+:", link) or MADE.search(link):
            continue
        target = (page.parent / address).resolve() if address else page
        assert target.exists(), f"{page.name}: {link}"
        if place:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert place in anchors, f"{page.name}: {link}"


def test_links_to_known_issues_are_of_known_issues() -> None:
    for page in PAGES:
        for code in re.findall(r"issues/(XC\d+)\.", page.read_text("utf-8")):
            assert (ROOT / f"matrices/issues/{code}.toml").is_file(), f"{page.name}: {code}"


def test_every_page_is_in_the_navigation() -> None:
    nav = set(
        re.findall(r": ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    )
    there = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert there == {each for each in nav if not MADE.match(each)}


def test_the_site_has_one_address() -> None:
    (built,) = re.findall(
        r'^site_url: "(.*)"$', (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE
    )
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    told = re.findall(r'^Documentation = "(.*)"$', project, re.MULTILINE)
    assert built == version.SITE
    assert told == ([version.SITE] if version.SITE else [])
    assert not version.SITE or version.SITE.endswith("/")
