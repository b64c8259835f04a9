"""The law of fixes: what an issue says to type never makes something else fail.

The commands of `pip` among the fixes are carried out on paper, on every recorded environment in
which the issue applies and on one that is made for each of its conditions; the known issues say
what fails before and after.
"""

import re
import shlex
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from xcompat.diagnosis.conditions import applies
from xcompat.diagnosis.fixes import fixes_for, is_meant
from xcompat.domain import Environment, distribution_name
from xcompat.matrix.load import load_matrix

MATRIX = load_matrix()
T22 = {"TTS": "0.22.0", "torch": "2.5.1", "torchaudio": "2.5.1", "transformers": "4.40.2",
       "six": "1.17.0", "trainer": "0.0.36", "coqpit": "0.0.17", "pandas": "1.5.3",
       "numpy": "1.26.4", "setuptools": "80.0", "librosa": "0.10.2"}  # fmt: skip
C28 = {"coqui-tts": "0.28.0", "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6",
       "six": "1.17.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5",
       "numpy": "2.2.6"}  # fmt: skip
BROUGHT = {
    "coqui-tts": {"coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5"},
    "TTS": {"trainer": "0.0.36", "coqpit": "0.0.17"},
}
"""What comes along with a distribution, where it is not there."""


@cache
def known_versions(name):
    versions = {
        run.environment.packages[name].partition("+")[0]
        for run in MATRIX.runs
        if name in run.environment.packages
    }
    for issue in MATRIX.issues:
        for condition in issue.conditions:
            versions.update(re.findall(r"\d[\d.]*\d", condition.packages.get(name, "")))
    return sorted({Version(version) for version in versions} or {Version("1.0")})


def version_for(specifier, current=None, name=""):
    if current and Version(current) in specifier:
        return current
    written = [Version(re.sub(r"\.\*$", ".1", part.version)) for part in specifier]
    fitting = [v for v in [*known_versions(name), *written] if v in specifier]
    return str(max(fitting))


def ways_out(issue):
    """Yield the alternatives of an issue that `pip` carries out: commands, and the last as told."""
    held = []
    for fix in issue.fixes:
        command = fix.partition("  # ")[0]
        words = shlex.split(command) if command.startswith(("pip ", "uv pip ")) else []
        if "uninstall" in words:
            held.append(words)
        elif "install" in words:
            yield [*held, words], fix
            held = []


def after(environment, issue, commands):
    packages = dict(environment.packages)
    system = dict(environment.system)
    if any("install ffmpeg" in fix for fix in issue.fixes):
        system.pop("ffmpeg", None)
    for words in commands:
        names = [word for word in words[words.index("pip") + 2 :] if not word.startswith("-")]
        if "uninstall" in words:
            packages = {n: v for n, v in packages.items() if n not in map(distribution_name, names)}
            continue
        for name in names:
            if "PACKAGE" in name or "MODULE" in name:
                continue
            wanted = Requirement(name)
            spelled = distribution_name(wanted.name)
            packages[spelled] = version_for(wanted.specifier, packages.get(spelled), spelled)
            for other, version in BROUGHT.get(spelled, {}).items():
                packages.setdefault(other, version)
        if "coqui-tts" in packages and "numpy" in packages:
            # pip raises what its new package refuses to the newest that there is.
            packages["numpy"] = version_for(SpecifierSet(">=1.26"), packages["numpy"], "numpy")
    return environment._replace(
        packages=packages, system=system, builds={}, duplicates={}, signs={}
    )


def made_for(condition):
    """Return an environment in which a condition holds."""
    packages = dict(C28 if "coqui-tts" in condition.packages else T22)
    for name, wanted in condition.packages.items():
        if wanted == "absent":
            packages.pop(name, None)
        else:
            specifier = SpecifierSet("" if wanted == "*" else wanted)
            fitting = [v for v in known_versions(name) if v in specifier]
            # Below a bound lie releases that no condition names.
            low = [Version(f"{p.version}.dev0") for p in specifier if p.operator in "<!="]
            packages[name] = str(max(fitting, default=None) or min(low))
    pythons = ["3.11.9", "3.10.14", "3.9.25", "3.12.3", "3.13.1", "3.14.0", "3.15.0"]
    python = next((p for p in pythons if p in SpecifierSet(condition.python)), "3.11.9")
    if condition.minor_mismatch:
        packages[condition.minor_mismatch[1]] = "2.4.1"
    return Environment(
        python=python,
        platform=next(iter(condition.platforms), "linux-x86_64"),
        packages=packages,
        source="",
        system={name: None if w == "absent" else "12" for name, w in condition.system.items()},
        builds={
            name: ("cpu", "cu130")[number]
            for pair in (condition.cuda_mismatch, condition.cuda_major_mismatch)
            for number, name in enumerate(pair or ())
        },
        duplicates=dict.fromkeys(condition.duplicates, ("1", "2")),
        signs=dict.fromkeys(condition.signs, ("TTS: x",)),
        language=next(iter(condition.languages), ""),
    )


def environments(issue):
    made = [made_for(condition) for condition in issue.conditions]
    recorded = {
        (e.python, e.platform, *sorted(e.packages.items())): e
        for e in (run.environment for run in MATRIX.runs)
    }
    return [
        e
        for e in [*made, *recorded.values()]
        # Which code runs where both are installed, nobody knows: XC019 comes first.
        if applies(issue, e) and not {"TTS", "coqui-tts"} <= e.packages.keys()
    ]


def failing(environment, *, converted):
    """Return what known issues say fails; `load` is cured by converting the model."""
    return {
        (issue.code, capability)
        for issue in MATRIX.issues
        if issue.severity == "error" and applies(issue, environment)
        for capability in issue.capabilities
        if not (converted and capability == "load")
    }


def told(environment):
    return f"{environment.python} {environment.platform} " + " ".join(
        f"{n}=={v}" for n, v in sorted(environment.packages.items()) if n in {**T22, **C28}
    )


WITH_WAYS = [
    pytest.param(issue, id=issue.code)
    for issue in MATRIX.issues
    if issue.conditions and any(ways_out(issue))
]


@pytest.mark.parametrize("issue", WITH_WAYS)
def test_no_fix_brings_the_next_issue(issue):
    converted = any("xcompat convert" in fix for fix in issue.fixes)
    wrong = []
    for environment in environments(issue):
        before = {capability for _, capability in failing(environment, converted=converted)}
        for commands, fix in ways_out(issue):
            if is_meant(fix, environment):
                mended = after(environment, issue, commands)
                then = failing(mended, converted=converted)
                if {"TTS", "coqui-tts"} <= mended.packages.keys():
                    then.add(("XC019", "the other family stays"))
                new = {each for each in then if each[1] not in before}
                if new:
                    wrong.append((shlex.join(commands[-1]), sorted(new), told(environment)))
    assert wrong == []


@pytest.mark.parametrize("issue", WITH_WAYS)
def test_a_fix_cures_its_own_issue(issue):
    if issue.severity != "error":
        return
    left = []
    for environment in environments(issue):
        meant = [commands for commands, fix in ways_out(issue) if is_meant(fix, environment)]
        if meant and all(applies(issue, after(environment, issue, commands)) for commands in meant):
            left.append(told(environment))
    assert left == []


def test_there_are_environments_to_try_on():
    assert sum(len(environments(issue.values[0])) for issue in WITH_WAYS) > 300


@pytest.mark.parametrize("issue", MATRIX.issues, ids=lambda issue: issue.code)
def test_something_can_be_done_in_the_app_itself(issue):
    """Other commands of xcompat than a conversion leave an app as broken as it was."""
    ours = [
        fix
        for fix in issue.fixes
        if fix.startswith("xcompat ") and not fix.startswith("xcompat convert")
    ]
    assert len(ours) < len(issue.fixes)


TRANSFORMERS = next(issue for issue in MATRIX.issues if issue.code == "XC027")
"""For each release of TTS another transformers."""


@pytest.mark.parametrize(
    ("packages", "version"),
    [
        ({"TTS": "0.22.0"}, "4.40.2"),
        ({"TTS": "0.20.6"}, "4.40.2"),
        ({"coqui-tts": "0.24.1"}, "4.40.2"),
        ({"coqui-tts": "0.24.2"}, "4.42.4"),
        ({"coqui-tts": "0.25.0"}, "4.46.2"),
        ({"coqui-tts": "0.26.2"}, "4.51.3"),
        ({"coqui-tts": "0.27.2"}, "4.55.4"),
        ({"coqui-tts": "0.28.0"}, "4.57.6"),
    ],
)
def test_only_what_is_meant_for_a_release_is_told(packages, version):
    for complete in (True, False):
        here = Environment(python="", platform="", packages=packages, source="", complete=complete)
        assert fixes_for(TRANSFORMERS, here)[0].startswith(f'pip install "transformers=={version}"')
        assert len(fixes_for(TRANSFORMERS, here)) == 1


def test_all_is_told_where_nothing_is_said():
    nothing = Environment(python="", platform="", packages={}, source="", complete=False)
    assert fixes_for(TRANSFORMERS, nothing) == TRANSFORMERS.fixes


def test_what_is_uninstalled_goes_with_what_is_installed_after_it():
    issue = next(issue for issue in MATRIX.issues if issue.code == "XC055")
    here = Environment(python="3.14.1", platform="", packages={"TTS": "0.22.0"}, source="")
    told = fixes_for(issue, here)
    assert [fix.split()[1] for fix in told if fix.startswith("pip ")] == ["uninstall", "install"]
    assert "torch==2.9.1" in told[1]
