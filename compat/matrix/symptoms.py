"""Finds known issues by their symptoms in what a person pastes: a traceback, a log, any text.

Pure: from text to matches, the likeliest first. A log can be long and its lines decorated, so that
it is cleaned, every symptom is first looked for by the longest text that it must contain, and only
what is around that is compared with the symptom itself.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from xcompat.matrix.cut import completed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from xcompat.domain import KnownIssue

_PIECE = 1 << 20
"""Characters that are looked at together."""
_PASTED = 1 << 15
"""Characters that somebody copies from a window at most."""
_WIDTHS = range(70, 260)
"""Columns of a window."""
BEFORE = 6000
"""Characters before the words that a symptom may begin in: a traceback."""
AFTER = 3000
"""Characters behind them that it may end in: a long message."""
_BESIDE = 300
"""Characters between two symptoms of one message."""
_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\0\x07]"
)
"""Colours, links and titles of a terminal."""
_DECORATION = re.compile(
    r"""^(?:
        [ \t]*[│┃|❱>][ \t]?                                        # boxes and quotations
      | [\w./-]+[ \t]*\|[ \t]                                       # docker compose: `app-1  | `
      | \[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\w.,:+-]*\]?[ \t]*     # a time
      | \[?\d\d:\d\d:\d\d[.,\d-]*\]?[ \t]+
      | [A-Z][a-z]{2}[ ]+\d+[ ]\d\d:\d\d:\d\d[ ]\S+[ ]\S+:[ ]       # syslog
      | std(?:out|err)[ ][FP][ ]                                     # Kubernetes
      | \[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL|std(?:err|out))\]?[ \t]*[:|-]?[ \t]+
        (?:[\w.]+:[ \t]+)?                                          # the name of a logger
      | [\w.<>]+:[\w.<>]+:\d+[ \t]+-[ \t]                             # loguru
      | \(\w+[ ]pid=\d+\)[ ]
      | \[[^\],\n]{1,60}\]:?[ \t]*
      | \[?rank\d+\]?:[ \t]*
      | (?:-[ \t]+)
    )+
    | [ \t]+[│┃]$                                                  # the right side of a box""",
    re.MULTILINE | re.VERBOSE,
)

_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d\u00a0", "''\"\" ", "`")
"""What forums and word processors make of quotes, and of blanks; Markdown eats backticks."""
_WINDOWS = re.compile(r"\[WinError ([235])\] [^:\n']{4,90}(?=[:'\n]|$)")
"""What Windows says of a missing file in the language of its user; the number is the same."""
_WINDOWS_WORDS = {
    "2": "No such file or directory",
    "3": "No such file or directory",
    "5": "Access is denied",
}
_NO_COMMAND = re.compile(
    r"""['"]?\ ?(?:
        no\ se\ reconoce\ como\ un\ comando\ interno
      | n'est\ pas\ reconnu\ en\ tant\ que\ commande
      | não\ é\ reconhecido\ como\ um\ comando
      | non\ è\ riconosciuto\ come\ comando
      | ist\ entweder\ falsch\ geschrieben
      | nie\ jest\ rozpoznawan\w\ jako\ polecenie
      | не\ является\ внутренней\ или\ внешней
      | 不是内部或外部命令
      | は、内部コマンドまたは外部コマンド
    )""",
    re.VERBOSE,
)
"""What Windows says of an unknown command in the language of its user, behind its name."""
_ENTITIES = (("&#39;", "'"), ("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""What a page makes of signs, where its source is copied."""
_FAMILY = re.compile(
    r"""(?<![\w-])TTS[/\\.]+(?:tts|utils|api|bin|config|configs|server|vc|vocoder|encoder
        |recipes|demos|VERSION|__init__\.py)\b
      | (?:site|dist)-packages[/\\]+TTS\b
      | \b(?:import|for|package|module\ named)\ ['"]?TTS\b
      | ['"]TTS['"]
      | \b[Tt][Tt][Ss](?:\ [Vv]ersion(?:\ installed)?)?[ =:v]{1,4}0\.\d+\.\d
      | (?<![Nn][Dd][Ee])[Xx][Tt][Tt][Ss] | [Cc]oqui | tts_models | tts_to_(?:file|audio)
      | GPT2InferenceModel | hifigan_decoder | CoquiEngine | tts-server | enable_text_splitting
      | \[!\]\ Looks\ like\ you | VoiceExtractor | convert_chapters | tts_engines[/\\]
      | (?:site|dist)-packages[/\\]+trainer[/\\]
      | (?:[Ww]heels?\ for|[Ff]ailed\ to\ build|versions\ of|pip3?\ install|Installing)
        \ (?:[\w-]+,?\ ){0,4}?(?:TTS|tts)(?![\w-])
      | (?<![\w-])tts\ --(?:list_models|model_name|model_path|text|speaker)
      | \bCollecting\ (?:TTS|tts)\b | \b(?:TTS|tts)-0\.\d+\.\d | [/\\]tts_[0-9a-f]{32}\b
      | (?:narrator|character)_voice_gen
      | [Aa]ll[Tt]alk | RealtimeTTS | ebook2audiobook | epub2tts | [Aa]uralis | MoneyPrinter
      | openedai-speech | clone-?[Vv]oice | audiobook_maker
      | v\d\d\.\d+\.\w+\ (?:native|full_docker)\ mode | --->\ Hardware\ detected
      | [Pp]andrator | pyvideotrans | SoniTranslate
      | RealtimeVoiceChat | LocalAIVoiceChat | load_engine\(\)""",
    re.VERBOSE,
)
"""What is said of Coqui TTS and of apps around it; other projects have `TTS` in their names too."""
_FRAME = re.compile(r'File "|-{3,}> ?\d| in <module>')
"""What says where an error arose."""
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[^}]*\}|.", re.DOTALL)
"""The parts of a regular expression: an escape, a set, a repetition, or a character."""
LEAST_REQUIRED = 6
"""Characters that every match of a symptom must contain: it is looked for by these first."""
_LITERAL = re.compile(r"\\[^\w\s]|[^\\\[\](){}?*+.|^$]")


class Match(NamedTuple):
    """A known issue whose symptom is in a text."""

    issue: KnownIssue
    certain: bool
    """False where other programs show the same and nothing around it speaks of XTTS."""
    start: int
    end: int
    """Where the symptom was seen last: the characters before and at its end, roughly."""


def matches(text: str, issues: Iterable[KnownIssue]) -> tuple[Match, ...]:
    """Return the known issues whose symptoms are in `text`, as `matches_in_log` does."""
    return matches_in_log((text,), issues)


def matches_in_log(pieces: Iterable[str], issues: Iterable[KnownIssue]) -> tuple[Match, ...]:
    """Return the known issues whose symptoms are in a log, what most likely ended it first.

    What is certain comes before what is not, and what was seen later before what was seen earlier:
    the last error of a chain is the one that a program ended with. Messages that only stand beside
    errors come last.

    Args:
        pieces: The log, cut anywhere; about a megabyte of it is held at a time.
        issues: What to look for.
    """
    wanted = [issue for issue in issues if issue.symptoms]
    symptoms = [_unticked(symptom) for issue in wanted for symptom in issue.symptoms]
    found: dict[str, Match] = {}
    passed = 0
    for piece in _overlapping(pieces):
        raw = _uncoloured(piece)
        plain = _in_plain_words(raw)
        # What decorates one log is a part of the message in another, and plain words are shorter
        # than those that reached the edge of a window.
        variants = dict.fromkeys(
            completed(" ".join(text.split()), symptoms)
            for text in (plain, undecorated(plain), _in_plain_words(_unbroken(raw)))
        )
        for issue in wanted:
            here = [match for text in variants if (match := _last(issue, text, passed))]
            if issue.code in found:
                here.append(found[issue.code])
            if here:
                found[issue.code] = max(here, key=lambda match: (match.certain, match.end))
        passed += len(piece)
    return likeliest_first(tuple(found.values()))


def likeliest_first(found: Collection[Match]) -> tuple[Match, ...]:
    """Return matches in the order that `matches_in_log` promises.

    Of those that belong to one message, an issue that no other program shows comes first.
    """
    places: dict[str, int] = {}
    message: Match | None = None
    for match in sorted(found, key=lambda each: each.end, reverse=True):
        if message is None or not beside(match, message):
            message = match
        places[match.issue.code] = message.end
    return tuple(
        sorted(
            found,
            key=lambda each: (
                each.issue.aside,
                not each.certain,
                -places[each.issue.code],
                each.issue.generic,
                -each.end,
                each.issue.code,
            ),
        )
    )


def beside(one: Match, other: Match) -> bool:
    """Return whether two symptoms are so close that they belong to one message."""
    return one.start < other.end + _BESIDE and other.start < one.end + _BESIDE


def cleaned(text: str) -> str:
    """Return a text without what colours it in a terminal, in plain quotes and plain words."""
    return _in_plain_words(_uncoloured(text))


def _uncoloured(text: str) -> str:
    return _CONTROL.sub("", text).replace("\r\n", "\n")


def _in_plain_words(text: str) -> str:
    plain = text.translate(_QUOTES)
    for entity, sign in _ENTITIES if "&" in plain else ():
        plain = plain.replace(entity, sign)
    if len(text) <= _PASTED:
        plain = _NO_COMMAND.sub("' is not recognized as an internal or external command", plain)
    return _WINDOWS.sub(lambda it: f"[WinError {it[1]}] {_WINDOWS_WORDS[it[1]]}", plain)


def undecorated(text: str) -> str:
    """Return a cleaned text without what loggers and containers put before its lines."""
    return _DECORATION.sub("", text)


def _unbroken(text: str) -> str:
    """Return what was copied from a window without the breaks that it made within words.

    All lines that reach its edge are of one length, the longest. A long log comes from a file.
    """
    lines = text.split("\n") if len(text) <= _PASTED else []
    width = max(map(len, lines), default=0)
    if width not in _WIDTHS:
        return text
    return "".join(line if len(line) == width else f"{line}\n" for line in lines)


def _overlapping(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a text in pieces of a good size, each with the end of the one before it."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            text = "".join(held)
            yield text
            held = [text[-(BEFORE + AFTER) :]]
            size = 0
    if size:
        yield "".join(held)


def _last(issue: KnownIssue, text: str, passed: int) -> Match | None:
    """Return where an issue is seen last in a cleaned text, for certain if that is anywhere."""
    looked_for = map(_unticked, issue.symptoms)
    seen = [match for each in looked_for if (match := _seen(issue, each, text, passed))]
    return max(seen, key=lambda match: (match.certain, match.end), default=None)


def _seen(issue: KnownIssue, symptom: str, text: str, passed: int) -> Match | None:
    words = required_text(symptom)
    position = text.rfind(words)
    doubtful = None
    while position >= 0:
        begin = max(0, position - BEFORE)
        window = text[begin : position + AFTER]
        if spans := [each.span() for each in _compiled(symptom).finditer(window)]:
            start, end = (passed + begin + place for place in spans[-1])
            if _is_ours(window, generic=issue.generic):
                return Match(issue, certain=True, start=start, end=end)
            doubtful = doubtful or Match(issue, certain=False, start=start, end=end)
        # The window has shown what stands around these words in its first half as well.
        position = text.rfind(words, 0, max(0, position - BEFORE // 2) + len(words) - 1)
    return doubtful


def _is_ours(window: str, *, generic: bool) -> bool:
    """Return whether a text speaks of XTTS, or shows what no other program shows.

    Even that is another program's where it says where the error arose, and names no file of ours.
    """
    return bool(_FAMILY.search(window)) or not (generic or _FRAME.search(window))


@cache
def _unticked(symptom: str) -> str:
    """Return a symptom without backticks, which a cleaned text has none of."""
    return symptom.replace("`?", "").replace("`", "")


@cache
def _compiled(symptom: str) -> re.Pattern[str]:
    return re.compile(symptom)


@cache
def required_text(symptom: str) -> str:
    """Return the longest text that every match of a symptom contains.

    It is empty where there is none, as in `a|b`.
    """
    words = [""]
    depth = 0
    for part in _TOKEN.findall(symptom):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if part == "|" and not depth:
            return ""
        if part[0] in "?*{":
            words[-1] = words[-1][:-1]  # What may be absent is not required.
        if depth or not _LITERAL.fullmatch(part):
            words.append("")
        else:
            words[-1] += part[-1]
    return max(words, key=len)
