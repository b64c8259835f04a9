"""Versions as installations name them."""

from __future__ import annotations

from functools import cache

from packaging.version import InvalidVersion, Version


@cache
def parsed(text: str | None) -> Version | None:
    """Return a version, or None where the text is none."""
    try:
        return Version(text) if text else None
    except InvalidVersion:
        return None


@cache
def public(text: str | None) -> str | None:
    """Return a version without its build: `2.9.1` of `2.9.1+cu128`; another text as it is."""
    version = parsed(text)
    return version.public if version else text


@cache
def release(version: Version) -> Version:
    """Return the release that a version is, or that it precedes: `2.9` of `2.9.dev1+cu128`."""
    return Version(version.base_version)
