"""Systems that lack something, and how a process is started as if on one of them.

As a script it writes what is to be set for each of them, or for those that are named.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

START = Path(__file__).with_name("start")
"""Where Python finds the `sitecustomize` that imitates a system."""
ABSENCES: dict[str, dict[str, str]] = {
    "fcntl": {"XCOMPAT_WITHOUT": "fcntl"},
    "posix_fallocate": {"XCOMPAT_WITHOUT": "posix_fallocate"},
    "preadv": {"XCOMPAT_WITHOUT": "preadv"},
    "pwrite": {"XCOMPAT_WITHOUT": "pwrite"},
    "killpg": {"XCOMPAT_WITHOUT": "killpg"},
    "files of Windows": {
        "XCOMPAT_WITHOUT": "fcntl,posix_fallocate,pread,preadv,pwrite,killpg,names"
    },
    "names": {"XCOMPAT_WITHOUT": "names"},
    "cp1252": {"XCOMPAT_WITHOUT": "cp1252", "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    "ascii": {
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "",
    },
}
"""What is set in the environment of a process, by what is missing there."""


def environment_without(absence: str) -> dict[str, str]:
    """Return the variables that make a process one of a system which lacks something."""
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(START), before)))
    return {"PYTHONPATH": path, **ABSENCES[absence]}


if __name__ == "__main__":
    print(json.dumps({name: environment_without(name) for name in sys.argv[1:] or ABSENCES}))
