"""Makes the pages of the site that nobody writes: known issues, commands, schemas, answers.

A hook of mkdocs. What is made here is made from the code and the data, so that it cannot differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

from xcompat.cli import COMMANDS
from xcompat.matrix.load import load_matrix
from xcompat.render.diagnosis import MEANING
from xcompat.render.issue import condition_text

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

    from xcompat.domain import KnownIssue

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    issues = load_matrix().issues
    made = {f"issues/{issue.code}.md": _issue_page(issue) for issue in issues}
    made["issues/index.md"] = _issues_page(issues)
    made["commands.md"] = _commands_page()
    made["json.md"] = _json_page()
    for schema in _schemas():
        made[f"schemas/{schema.name}"] = schema.read_text("utf-8")
    made["site/answers.json"] = _answers()
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links out of `docs/`, which a checkout has, to what the site has."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(
        r"\]\(\.\./matrices/issues/(XC\d+)\.toml\)", rf"]({up}issues/\1.md)", markdown
    )
    return re.sub(
        r"\[([^\]]+)\]\(\.\./(?:\.\./)*(?:examples|compat|tests)/[^)]*\)", r"`\1`", markdown
    )


def _issue_page(issue: KnownIssue) -> str:
    told = ", ".join(f"**{name}** ({MEANING[name]})" for name in issue.capabilities)
    verb = "Fails" if issue.severity == "error" else "Concerns"
    lines = [f"# {issue.code}: {_plain(issue.title)}", "", _plain(issue.cause), ""]
    if told:
        lines += [f"{verb}: {told}.", ""]
    if issue.conditions:
        lines += ["## When", ""]
        lines += [f"- {_plain(condition_text(each))}" for each in issue.conditions]
        lines += [""]
    lines += ["## What to do", ""]
    for fix in issue.fixes:
        command, _, remark = fix.partition("  # ")
        if fix.endswith("."):
            lines += [_plain(fix), ""]
            continue
        if remark:
            lines += [f"{_plain(remark)}:", ""]
        lines += ["```", command, "```", ""]
    if issue.symptoms:
        lines += ["## What it looks like", "", "Regular expressions that match the error:", ""]
        lines += ["```", *issue.symptoms, "```", ""]
    lines += ["## Sources", "", *(f"- <{source}>" for source in issue.sources), ""]
    lines += ["In a terminal:", "", "```sh", f"xcompat explain {issue.code}", "```", ""]
    return "\n".join(lines)


def _issues_page(issues: tuple[KnownIssue, ...]) -> str:
    rows = [
        f"| [{each.code}]({each.code}.md) | {each.severity} | {_plain(each.title)} |"
        for each in issues
    ]
    return "\n".join(
        [
            "# Known issues",
            "",
            "An error claims that something fails; a warning tells what versions cannot show.",
            "`xcompat explain FILE` finds them in a traceback.",
            "",
            "| code | | what happens |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _commands_page() -> str:
    lines = ["# Commands", "", "What `--help` says, of the version that this site is of.", ""]
    names = [name for group in COMMANDS.values() for name in group]
    for name in ("", *names):
        words = ["xcompat", name, "--help"] if name else ["xcompat", "--help"]
        lines += [f"## {' '.join(words[:-1])}", "", "```text", _help(words[1:]), "```", ""]
    return "\n".join(lines)


def _help(words: list[str]) -> str:
    told = subprocess.run(
        [sys.executable, "-m", "xcompat", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "88", "NO_COLOR": "1"},
    )
    return told.stdout.replace("python -m xcompat", "xcompat").rstrip()


def _schemas() -> list[Any]:
    folder = resources.files("xcompat") / "schemas"
    return sorted(folder.iterdir(), key=lambda each: each.name)


def _json_page() -> str:
    lines = [
        "# JSON",
        "",
        "Every command with `--json` writes one object to stdout, with the exit code that it has",
        "without. Fields may be added; none goes, or changes its meaning, while `schema` stays.",
        "The schemas come with xcompat too: `importlib.resources.files('xcompat') / 'schemas'`.",
        "",
        "| command | schema | fields |",
        "| --- | --- | --- |",
    ]
    for file in _schemas():
        schema = json.loads(file.read_text("utf-8"))
        fields = ", ".join(f"`{name}`" for name in schema["properties"] if name != "schema")
        lines.append(f"| `{schema['title']}` | [{file.name}](schemas/{file.name}) | {fields} |")
    return "\n".join([*lines, ""])


def _answers() -> str:
    """Return the answers of the page `ask`; they are kept until what they rest on changes."""
    rests_on = [*ROOT.glob("matrices/**/*.*"), *ROOT.glob("compat/diagnosis/*.py")]
    rests_on.append(Path(__file__).with_name("answers.py"))
    digest = hashlib.sha256()
    for path in sorted(rests_on):
        if path.suffix in (".py", ".toml", ".json", ".jsonl"):
            digest.update(path.read_bytes())
    kept = CACHE / f"answers-{digest.hexdigest()[:16]}.json"
    if not kept.exists():
        CACHE.mkdir(exist_ok=True)
        script = Path(__file__).with_name("answers.py")
        subprocess.run([sys.executable, str(script), str(kept)], check=True)
    return kept.read_text("utf-8")


def _plain(text: str) -> str:
    """Return a text in one line of which Markdown takes nothing for its own."""
    escaped = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(text.split()))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")
