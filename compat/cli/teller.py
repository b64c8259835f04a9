"""Who tells strangers of an environment, and what must not be told of the person who lets it."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.domain import DECIDING
from xcompat.render.diagnosis_report import Teller
from xcompat.render.privacy import Private, shared_variables

if TYPE_CHECKING:
    from xcompat.domain import Matrix


def teller_here(private: Private) -> Teller:
    """Return what may be told of this machine: no name that somebody gave it."""
    release = re.match(r"[\d.]*", platform.release())
    system = platform.mac_ver()[0] or (release[0].rstrip(".") if release else "")
    libc = " ".join(platform.libc_ver()).strip()
    told = (platform.system(), system, libc, platform.machine())
    return Teller(
        python=platform.python_version(),
        system=" ".join(filter(None, told)),
        variables=shared_variables(os.environ, private),
    )


def private_here() -> Private:
    """Return what tells of this person and this machine."""
    home = Path.home()
    homes = {str(home), str(home.resolve()), home.as_posix(), home.resolve().as_posix()}
    host = socket.gethostname()
    return Private(
        homes=tuple(homes),
        users=tuple({_user(), home.name} - {""}),
        hosts=tuple({host, host.partition(".")[0], platform.node()} - {""}),
    )


def public_names(known: Matrix) -> frozenset[str]:
    """Return the distributions that a recorded run or a known issue names."""
    conditions = (each for issue in known.issues for each in issue.conditions)
    return frozenset(DECIDING).union(
        *(run.environment.packages for run in known.runs),
        *(each.packages for each in conditions),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # No account has this number, as in a container.
        return ""
