"""The notes of a release are those of its version, and there is something in them."""

from release_notes import CHANGELOG, notes_of
from xcompat import __version__

TEXT = """# Changelog

## [Unreleased]

- new

## [0.2.0] - 2026-11-27

### Added

- second

## [0.1.0] - 2026-01-01

- first

[0.1.0]: https://example.org/0.1.0
"""


def test_a_version_has_its_own_part():
    assert notes_of(TEXT, "0.2.0") == "### Added\n\n- second\n"
    assert notes_of(TEXT, "0.1.0") == "- first\n"


def test_a_rehearsal_takes_what_is_not_released():
    assert notes_of(TEXT, "0.3.0") == "- new\n"


def test_the_changelog_has_something_to_say_of_this_version():
    assert "xcompat" in notes_of(CHANGELOG.read_text("utf-8"), __version__)
