"""What each command takes."""

from __future__ import annotations

import typer.main

from xcompat.cli import COMMANDS, _app


def options_by_command() -> dict[str, set[str]]:
    group = typer.main.get_command(_app(""))
    context = typer.Context(group)
    return {
        name: {
            option
            for param in command.get_params(context)
            for option in (*param.opts, *param.secondary_opts)
        }
        for names in COMMANDS.values()
        for name in names
        if (command := group.get_command(context, name))
    }


OPTIONS = options_by_command()
