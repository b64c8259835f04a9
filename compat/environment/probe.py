"""Reads the Environment of a Python installation. Nothing of the target is executed or imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xcompat.domain import Environment
from xcompat.environment.customisation import customised
from xcompat.environment.distributions import build_of, distributions_in
from xcompat.environment.integrity import signs_of_damage
from xcompat.environment.layout import find_layout, own_layout
from xcompat.environment.system import platform_of_wheels, rosetta_sign, system_of


def environment_of(python: str | None = None) -> Environment:
    """Return the Environment of an interpreter, a venv folder, a name on PATH, or, for None, here.

    "Here" is the activated virtual environment, if there is one, or else the Python that runs
    xcompat.

    Raises:
        CannotLook: `XC201` where there is no such Python, `XC202` where it does not answer,
            `XC203` where its environment is damaged.
    """
    if python is None:
        active = os.environ.get("VIRTUAL_ENV")
        if active and Path(active).resolve() != Path(sys.prefix).resolve():
            layout = find_layout(active)
        else:
            layout = own_layout()
    else:
        layout = find_layout(python)
    found = distributions_in(layout.folders)
    packages = {name: entry.version for name, entry in found.items()}
    builds: dict[str, str] = {
        name: build
        for name in ("torch", "torchaudio", "torchcodec")
        if name in found and (build := build_of(found[name]))
    }
    platform = platform_of_wheels(found) or layout.platform
    metadata = {name: entry.path for name, entry in found.items()}
    system, signs = system_of(layout, found)
    signs |= signs_of_damage(metadata, layout.folders)
    start = customised(layout.folders, os.environ)
    return Environment(
        python=layout.python,
        platform=platform,
        packages=packages,
        source=layout.root,
        interpreter=layout.interpreter,
        builds=builds,
        system=system,
        duplicates={
            name: versions
            for name, entry in found.items()
            # Debian describes some packages twice, in both formats: that is no contradiction.
            if len(versions := tuple(sorted({entry.version, *entry.others}))) > 1
        },
        signs=signs | rosetta_sign(platform, layout.interpreter),
        notes=layout.notes + start.notes,
        patches=start.patches,
    )
