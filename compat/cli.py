"""The command line: parse, call, render, exit.

Every command imports what it needs when it runs, so that help and diagnosis start fast.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from xcompat.errors import ExitCode, XcompatError

app = typer.Typer(
    name="xcompat",
    help="Make Coqui XTTS v2 work on today's PyTorch: diagnose, convert, speak.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from xcompat import __version__

        print(f"xcompat {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line and exit with one of the documented codes."""
    try:
        status = app(standalone_mode=True)
    except XcompatError as error:
        from xcompat.render.text import show_error

        show_error(error)
        status = error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        status = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`| head`) left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = ExitCode.YES
    except Exception as error:
        if os.environ.get("XCOMPAT_DEBUG"):
            raise
        from xcompat.render.text import show_bug

        show_bug(error)
        status = ExitCode.BUG
    sys.exit(int(status or 0))
