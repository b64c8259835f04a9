"""Goes back: from wherever a `xcompat fix` has come to, to what was there before it."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xcompat.converters.aside import aside_of, take_back
from xcompat.converters.files.output_file import remove_abandoned
from xcompat.errors import CannotLook, Refusal
from xcompat.mending.journal import identity
from xcompat.mending.values import Standing
from xcompat.resolution.apply import fetched
from xcompat.resolution.commands import run
from xcompat.resolution.installation import Installation, versions_in
from xcompat.resolution.lock import find_uv
from xcompat.resolution.prepare import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from xcompat.mending.journal import Converted, Journal, Packages


def standing_of(journal: Journal) -> Standing:
    """Return how far a journal's changes have come, as the disk shows it.

    Raises:
        CannotLook: `XC202`, the interpreter does not answer.
    """
    return Standing(
        packages=_packages_standing(journal.packages) if journal.packages else "not to be changed",
        model=_model_standing(journal.model) if journal.model else "not to be converted",
    )


def _packages_standing(
    packages: Packages,
) -> Literal["as before", "half changed", "changed"]:
    now = versions_in(packages.python)
    if all(now.get(name, "") == version for name, version in packages.versions.items()):
        return "as before"
    return "changed" if packages.complete else "half changed"


def _model_standing(model: Converted) -> Literal["as before", "converted"]:
    if model.original:
        return "as before" if identity(Path(model.checkpoint)) == model.before else "converted"
    if model.aside and aside_of(Path(model.folder), model.aside).beside.exists():
        return "converted"
    written = any((Path(model.folder) / name).exists() for name in model.files)
    return "converted" if written else "as before"


def undo(journal: Journal, tell: Callable[[str], None]) -> Journal:
    """Bring everything back that a journal tells of, and note that; return the journal.

    The model first, which takes a moment. Interrupted, it can be called again.

    Args:
        journal: What was changed.
        tell: Is told what is about to be done.

    Raises:
        Refusal: `XC247`, a model was changed since by somebody else.
        CannotLook: `XC246`, something cannot be brought back; what to do by hand is its hint.
    """
    if journal.model:
        tell("bringing the model back")
        undo_model(journal.model)
    if journal.packages:
        _undo_packages(journal.packages, tell)
    return journal._replace(state="undone").written()


def tidied(journal: Journal, tell: Callable[[str], None]) -> Journal | None:
    """Bring back what a fix left half changed; return what it had done, None for nothing.

    Raises:
        Refusal, CannotLook: as `undo`.
    """
    packages, model = journal.packages, journal.model
    if packages and not packages.complete:
        tell("bringing back first what was left half changed")
        _undo_packages(packages, tell)
        packages = None
    if model and _model_standing(model) == "as before":
        undo_model(model)
        model = None
    kept = journal._replace(packages=packages, model=model)
    kept.taken_back()
    return kept if packages or model else None


def undo_model(model: Converted) -> None:
    """Bring a model back as it was. Raises as `undo`."""
    checkpoint, folder = Path(model.checkpoint), Path(model.folder)
    try:
        take_back(aside_of(folder, model.aside))
        if model.original:
            _take_back(model, checkpoint, Path(model.original))
        for name in model.files:
            path = folder / name
            remove_abandoned(path)
            if model.original and path == checkpoint:
                continue
            if name in model.contents:
                path.write_text(model.contents[name], "utf-8")
            else:
                path.unlink(missing_ok=True)
        if model.made:
            with contextlib.suppress(OSError):  # somebody put something into it
                folder.rmdir()
    except OSError as error:
        raise CannotLook(
            "XC246",
            f"cannot bring `{checkpoint}` back: {error.strerror}",
            hint=f"its original is `{model.original}`" if model.original else f"delete `{folder}`",
        ) from error


def _take_back(model: Converted, checkpoint: Path, original: Path) -> None:
    now, kept = identity(checkpoint), identity(original)
    if now == model.before:
        # It was not replaced yet, or is back already: a second name for it may be left.
        if kept == model.before:
            original.unlink()
        return
    foreign = now[1] >= 0 and model.after is not None and now != model.after
    if kept != model.before or foreign:
        what = "was changed since by somebody else" if foreign else "has no original beside it"
        raise Refusal(
            "XC247",
            f"`{checkpoint}` {what}: it stays as it is",
            hint=f'if it may be lost: mv "{original}" "{checkpoint}"'
            if kept == model.before
            else f"put the original back yourself, as `{checkpoint}`",
        )
    original.replace(checkpoint)


def _undo_packages(packages: Packages, tell: Callable[[str], None]) -> None:
    uv = (find_uv() or packages.uv) if packages.uv else None
    installation = Installation(packages.python, packages.prefix, {}, uv)
    _tidy_packages(packages)
    names = sorted(packages.before)
    lines = [packages.before[name] for name in names if packages.before[name]]
    fetchable = tuple(line for line in lines if not line.startswith("-e "))
    folders = [word for line in lines if line not in fetchable for word in line.split(" ", 1)]
    with fetched(Prepared(installation, tuple(names), fetchable), tell) as source:
        steps = [("uninstall", names)]
        if lines:
            steps.append(("install", ["--no-deps", *source, *fetchable, *folders]))
        for verb, words in steps:
            tell(f"{installation.installer} {verb}")
            if status := run(installation.command(verb, *words)):
                raise _by_hand(f"{installation.installer} ended with {status}", installation, lines)
    now = versions_in(packages.python)
    if wrong := [name for name in names if now.get(name, "") != packages.versions[name]]:
        raise _by_hand(f"{', '.join(wrong)} did not come back", installation, lines)


def _tidy_packages(packages: Packages) -> None:
    """Remove what was fetched, and what an installer that was killed left of distributions.

    None can uninstall a distribution that does not say what it is, or of which files.
    """
    from xcompat.domain import distribution_name  # noqa: PLC0415
    from xcompat.environment.layout import find_layout  # noqa: PLC0415

    for left in Path(packages.prefix).glob(".xcompat-*"):
        shutil.rmtree(left, ignore_errors=True)
    for site in map(Path, find_layout(packages.python).folders):
        for left in site.glob("~*"):  # what pip moved out of the way
            shutil.rmtree(left, ignore_errors=True)
        for info in site.glob("*.dist-info"):
            name = distribution_name(info.name.partition("-")[0])
            if name in packages.before and not _is_whole(info):
                shutil.rmtree(info, ignore_errors=True)


def _is_whole(info: Path) -> bool:
    return all((info / name).is_file() for name in ("METADATA", "RECORD"))


def _by_hand(what: str, installation: Installation, lines: list[str]) -> CannotLook:
    command = installation.command("install", "--no-deps", *lines)
    return CannotLook(
        "XC246",
        f"{what}: the packages are not all as they were",
        hint="try again, with the network: xcompat fix --undo; or by hand:\n  "
        + " ".join(map(shlex.quote, command)),
    )
