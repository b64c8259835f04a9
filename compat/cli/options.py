"""Options that several commands share, each with its one name, metavar and meaning."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

Python: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--python",
        metavar="PATH",
        help="The environment: its interpreter, its folder, or a command.",
    ),
]
Requirements: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-r",
        "--requirements",
        metavar="FILE",
        help="Read versions from FILE, not from an environment; - is stdin.",
    ),
]
PythonVersion: TypeAlias = Annotated[
    str | None,
    typer.Option("--python-version", metavar="VERSION", help="Of this Python, such as 3.11."),
]
Platform: TypeAlias = Annotated[
    str | None,
    typer.Option("--platform", metavar="PLATFORM", help="Of this platform, such as macosx-arm64."),
]
Need: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--need",
        metavar="CAPABILITY",
        help="What must work: import, load, load-converted, speak, stream, clone, save,"
        " api, api-path; again for more.",
    ),
]
Language: TypeAlias = Annotated[
    str | None,
    typer.Option("--language", metavar="LANGUAGE", help="To be spoken, such as ja or zh-cn."),
]
NoGpu: TypeAlias = Annotated[
    bool, typer.Option("--no-gpu", help="Do not look at the graphics card of this machine.")
]
Device: TypeAlias = Annotated[
    Literal["auto", "mps", "cuda", "cpu"],
    typer.Option("--device", metavar="auto|mps|cuda|cpu", help="Where to compute."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Strict: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--strict", help="Take for an answer what was run only, not what is to be expected."
    ),
]
Complete: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--complete/--partial",
        help="Whether FILE of -r names all that is installed; recognised if not given.",
    ),
]
