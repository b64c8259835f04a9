"""The version of xcompat: the one place where it is written."""

__version__ = "0.2.0"

SITE: str = ""
"""Address of the documentation's site with a slash at its end, as `project.urls` of pyproject.toml
has it; empty as long as it has none."""
