"""Our specifiers agree with `packaging.specifiers` on releases."""

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from xcompat.matrix.specifier import clauses, contains

VERSIONS = ("0.9", "1", "1.0", "2.8.1", "2.9", "2.9.0", "2.9.1", "2.9.10", "2.10", "2.10.1", "3")
SPECIFIERS = (
    "", ">=2.9", ">2.9", "<2.9", "<=2.9", "==2.9", "!=2.9", "==2.9.*", "!=2.9.*", "==2.9.1",
    ">=2.8,<2.10", "==2.*", " >= 2.9 , < 3 ", "==2.9.0.*", ">=2.9.1,!=2.10.*",
)  # fmt: skip


@pytest.mark.parametrize("specifier", SPECIFIERS)
def test_it_agrees_with_packaging(specifier):
    theirs = [SpecifierSet(specifier).contains(version) for version in VERSIONS]
    assert [contains(specifier, Version(version)) for version in VERSIONS] == theirs


@pytest.mark.parametrize("text", ["2.9", "~=2.9", ">=2.*", "==", "=2", ">=2.9,", "===2", ">=x"])
def test_what_no_known_issue_needs_is_an_error(text):
    with pytest.raises(ValueError, match="is not a version specifier"):
        clauses(text)
