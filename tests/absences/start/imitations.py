"""Takes from Python what other systems do not have: `XCOMPAT_WITHOUT=fcntl`, see `absences.py`.

`sitecustomize` beside it brings it into the process of the tests, and into all that they start. It
is the only place that knows how a system is imitated.
"""

from __future__ import annotations

import builtins
import functools
import io
import locale
import os
import subprocess
import sys


def without_attribute(name):
    delattr(os, name)


def without_fcntl():
    sys.modules["fcntl"] = None


def with_names_that_ignore_case():
    """Let each path lead to what is there under the same letters, as on macOS and Windows.

    What asks the system below the functions of `os`, as imports do, is not concerned.
    """
    lstat, listdir = os.lstat, os.listdir

    def is_there(path):
        try:
            lstat(path)
        except (OSError, ValueError):
            return False
        return True

    def found(path):
        if not isinstance(path, (str, os.PathLike)) or is_there(path):
            return path
        folder, name = os.path.split(os.fspath(path))
        if not name or isinstance(name, bytes):
            return path
        folder = found(folder) if folder else "."
        try:
            names = listdir(folder)
        except OSError:
            return path
        wanted = name.casefold()
        return f"{folder}/{next((x for x in names if x.casefold() == wanted), name)}"

    # These hold on to what they were made with.
    for module, name, count in (
        *((os, name, 1) for name in ("access", "chmod", "listdir", "lstat", "mkdir", "open")),
        *((os, name, 1) for name in ("readlink", "remove", "rmdir", "scandir", "stat", "truncate")),
        *((os, name, 1) for name in ("unlink", "utime")),
        *((os, name, 2) for name in ("link", "rename", "replace")),
        *((module, "open", 1) for module in (builtins, io)),
    ):
        setattr(module, name, _seeing(getattr(module, name), found, count))


def _seeing(function, found, count):
    @functools.wraps(function)
    def act(*args, **options):
        return function(*map(found, args[:count]), *args[count:], **options)

    return act


def with_code_page():
    """Let text be in the code page of a Windows of western Europe where nobody says otherwise."""
    page = "cp1252"
    locale.getpreferredencoding = lambda *_: page
    locale.getencoding = lambda: page
    subprocess._text_encoding = lambda: page
    opened = io.open

    @functools.wraps(opened)
    def in_page(file, mode="r", buffering=-1, encoding=None, *rest, **others):
        if "b" not in mode and encoding in (None, "locale"):
            encoding = page
        return opened(file, mode, buffering, encoding, *rest, **others)

    io.open = builtins.open = in_page


IMITATIONS = {
    "fcntl": without_fcntl,
    "names": with_names_that_ignore_case,
    "cp1252": with_code_page,
    **{
        name: functools.partial(without_attribute, name)
        for name in ("killpg", "posix_fallocate", "pread", "preadv", "pwrite")
    },
}
for _name in filter(None, os.environ.get("XCOMPAT_WITHOUT", "").split(",")):
    IMITATIONS[_name]()
