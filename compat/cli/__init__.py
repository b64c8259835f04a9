"""The command line: parse, call, render, exit.

One module per command. Only the one that is typed is imported, and it imports what it needs when it
runs, so that help and diagnosis start fast.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from typer.core import TyperGroup

from xcompat.cli.words import PlainCommand, plainly
from xcompat.errors import ExitCode, XcompatError

if TYPE_CHECKING:
    from typing import Any

COMMANDS: Final = {
    "What is wrong": ("doctor", "explain", "preflight"),
    "Make it work": ("fix", "resolve", "convert", "voices"),
    "Hear it": ("smoke", "bench", "demo"),
    "What is known": ("matrix",),
}
"""The commands as a user meets them, under what they are for; each is in the module of its name."""


class _Grouped(TyperGroup):
    """Lists the commands under what they are for, each with its whole sentence."""

    def get_params(self, ctx: Any) -> list[Any]:
        return plainly(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for title, names in COMMANDS.items():
            rows = [
                (name.ljust(width), (command.help or "").strip())
                for name in names
                if (command := self.get_command(ctx, name))
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


def _version(wanted: bool) -> None:
    if wanted:
        from xcompat import __version__

        print(f"xcompat {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Make Coqui XTTS v2 work on today's PyTorch: diagnose, convert, speak."""


def _app(first_word: str) -> typer.Typer:
    """Return the app with the command of that name only, or with all where there is none."""
    app = typer.Typer(
        name="xcompat",
        cls=_Grouped,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich help imports a Markdown parser: as long again as all the rest
    )
    app.callback()(_root)
    names = [name for group in COMMANDS.values() for name in group]
    for name in [first_word] if first_word in names else names:
        app.command(name, cls=PlainCommand)(getattr(import_module(f"xcompat.cli.{name}"), name))
    return app


def _replace_closed_streams() -> None:
    """Stand in for standard streams that the caller closed, so that no file gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _offer() -> bool:
    """Show the help to whoever types nothing else; return whether to go on with `fix`."""
    _app("")(["--help"], standalone_mode=False)
    print()
    try:
        return typer.confirm(
            "Shall I look what is wrong here, and how to mend it (xcompat fix)? I ask again before"
            " anything is changed"
        )
    except typer.Abort:
        return False


def _run() -> int | None:
    """Run the command that was typed; tell a full disk under what typer itself prints."""
    if len(sys.argv) == 1 and sys.stdin.isatty() and sys.stdout.isatty():
        if not _offer():
            return ExitCode.USAGE
        sys.argv.append("fix")
    app = _app(next(iter(sys.argv[1:]), ""))
    try:
        status: int | None = app(standalone_mode=True)
    except OSError as error:
        if error.filename is not None:
            raise
        from xcompat.render.text import telling_lost_output

        with telling_lost_output():
            raise
    return status


def main() -> NoReturn:
    """Run the command line and exit with one of the documented codes."""
    _replace_closed_streams()
    try:
        status = _run()
    except XcompatError as error:
        from xcompat.render.text import show_error

        show_error(error)
        status = error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = ExitCode.INTERRUPTED
    except Exception as error:
        if os.environ.get("XCOMPAT_DEBUG"):
            raise
        from xcompat.render.text import show_bug

        show_bug(error)
        status = ExitCode.BUG
    sys.exit(int(status or 0))
