"""The exception tree: every error a user can cause, with its stable code and exit code.

Codes: `XC1nn` concern a checkpoint or a conversion, `XC2nn` an environment or the matrix, `XC3nn`
the smoke; all others, `XC0nn` and `XC4nn` to `XC9nn`, are known issues (data in `matrices/issues`),
of which `XC6nn` are about graphics cards, their drivers and the builds of PyTorch for them.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    YES = 0
    NO = 1
    USAGE = 2
    UNKNOWN = 3
    COULD_NOT_LOOK = 4
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    """Nobody reads the output any more; what a shell reports of any tool then."""


class XcompatError(Exception):
    """An error for people: what happened, to which file or package, and what to do next.

    Attributes:
        code: Stable code, for example `XC104`.
        hint: What to do next, in one sentence; empty where the message says it all.
        exit_code: Exit code of the command that this error ends.
    """

    exit_code: ExitCode = ExitCode.COULD_NOT_LOOK

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Refusal(XcompatError):  # noqa: N818 - the word of the field: it is a policy, not a failure
    """A clear no: xcompat understood the request and does not do it (exit 1)."""

    exit_code = ExitCode.NO


class Corruption(XcompatError):  # noqa: N818
    """The input is damaged or is not what its name says (exit 4)."""


class CannotLook(XcompatError):  # noqa: N818
    """Something outside kept xcompat from doing its work: I/O, a broken interpreter (exit 4)."""


class Misuse(XcompatError):  # noqa: N818
    """The command line asks for something that makes no sense (exit 2)."""

    exit_code = ExitCode.USAGE
