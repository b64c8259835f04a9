"""What becomes of an environment when a combination of versions is put into it: pure.

The installer finds the versions of everything else; here is what it would leave wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import Version

from xcompat.diagnosis.conditions import applies, applying
from xcompat.domain import (
    DAMAGE,
    DECIDING,
    SAME_FILES,
    Capability,
    Environment,
    distribution_of,
    minor_of,
)
from xcompat.domain.plan import Change
from xcompat.domain.versions import public
from xcompat.resolution.knowledge import ALWAYS_PINNED, NAMED, Combination, Knowledge
from xcompat.resolution.specifiers import exact_in, is_satisfiable, meets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

_COSTS = {"torch": 100, "TTS": 30, "coqui-tts": 30, "transformers": 5}
"""What it costs to replace an installed distribution: any other costs 1, and what is not there yet
costs nothing. Another version of the same TTS costs a third of a swap."""

_SAME = {"numpy": 1, "tokenizers": 2}
"""How many numbers of a version must be those of the run: what is compiled against numpy 1 does
not run on numpy 2, and a transformers takes the patches of one minor version of tokenizers."""


def cost_of(changes: Iterable[Change], said: Mapping[str, str] | None) -> int:
    """Return what changes cost, in the units of `_COSTS`.

    What pins do not say is free: `said` is what they say, None for an installation.
    """
    total = 0
    for change in changes:
        if change.now is not None and (said is None or said.get(change.name)):
            price = _COSTS.get(change.name, 1)
            if change.name in SAME_FILES[0] and change.then is not None:
                price //= 3
            total += 1 if public(change.now) == change.then else price
    return total


class Transition:
    """What becomes of each distribution of an environment.

    Args:
        environment: Where the combination is put.
        combination: What is put there.
        keep: Specifiers of distributions that a person wants to keep.
        knowledge: Says which other versions matter.
        required: What must work; where the deciding versions alone exclude it, nothing more is
            worked out, and `fails` is true.
    """

    def __init__(
        self,
        environment: Environment,
        combination: Combination,
        keep: Mapping[str, str],
        knowledge: Knowledge,
        required: AbstractSet[Capability] = frozenset(),
    ) -> None:
        self._environment = environment
        self._combination = combination
        self._keep = keep
        self._knowledge = knowledge
        self._installed = environment.packages
        self._recorded = combination.recorded.packages
        python = environment.python
        self._same_python = not python or minor_of(combination.recorded.python) == minor_of(python)
        self._kept_build = {name: _wanted_build_in(told) for name, told in keep.items()}
        self._result: tuple[object, Environment] | None = None
        self._then: dict[str, str | None] = {}
        """Version afterwards; None: uninstalled, empty: whatever the installer takes."""
        self._limits: dict[str, str] = {}
        """Of what is left to the installer: specifiers that a known issue asks for."""
        self._first_out: set[str] = set()
        self._decide()
        self._part_families()
        self._repair()
        self._match_builds()
        self.fails = self._deciding_fail(required)
        if self.fails:
            return
        self._pin_followers()
        self._add_what_is_missing()
        self._renew_what_is_left()
        self._leave_what_is_kept()

    def changes(self) -> Iterator[Change]:
        """Yield the changes in their order, without reasons: what is uninstalled comes first."""
        paired = [name for pair in SAME_FILES for name in pair]
        names = [n for n in dict.fromkeys([*paired, *DECIDING, *self._then]) if self._changes(n)]
        for name in sorted(names, key=lambda name: self._then[name] is not None):
            yield Change(
                name=name,
                now=self._installed.get(name),
                then=self._of_build(name, self._then[name]),
                why="",
                uninstall=name in self._installed
                and (name in self._first_out or self._then[name] is None),
            )

    def requirements(self, said: Mapping[str, str] | None = None) -> Iterator[str]:
        """Yield what to ask the installer for: what changes, and what must stay as it is.

        A build that is installed satisfies its version; one that pins say must be asked for.
        """
        for name, version in self._then.items():
            if version is not None:
                told = self._of_build(name, version)
                if said and not self._changes(name):
                    told = said.get(name) or told
                exact = f"=={told}"
                yield f"{name}{exact if version else self._specifier(name)}"
        for name, specifier in self._keep.items():
            if name not in self._then and (name in self._installed or name in self._recorded):
                yield f"{name}{specifier}"
        for name in self._followers():
            stays = self._installed.get(name) and name not in self._then and name not in self._keep
            if stays and (name in ALWAYS_PINNED or self._is_missed(name)):
                near = self._same_python or name not in _SAME
                yield f"{name}{'==' + self._installed[name] if near else self._alike(name)}"

    def result(self) -> Environment:
        """Return the environment afterwards, of the distributions that can make a difference.

        Dependencies that are not there yet get the versions that the run had.
        """
        made_of = (*self._then.items(), len(self._first_out))
        if self._result is None or self._result[0] != made_of:
            self._result = made_of, self._composed()
        return self._result[1]

    def _composed(self) -> Environment:
        builds = {name: self._build_of(name) for name in ("torch", "torchaudio")}
        doubled = self._environment.duplicates.items()
        return self._environment._replace(
            packages=self._packages(),
            complete=True,
            builds={name: build for name, build in builds.items() if build},
            duplicates={name: told for name, told in doubled if name not in self._first_out},
            signs=self._signs(),
        )

    def _signs(self) -> dict[str, tuple[str, ...]]:
        """Return the signs that are left when what is damaged has gone."""
        signs = {
            sign: tuple(
                each
                for each in told
                if (name := distribution_of(each)) in self._installed and name not in self._then
            )
            if sign in DAMAGE
            else told
            for sign, told in self._environment.signs.items()
        }
        return {sign: told for sign, told in signs.items() if told}

    def takes_away(self, name: str) -> bool:
        """Return whether a distribution is uninstalled for good, or cannot be there."""
        return name in self._then and self._then[name] is None

    def is_installable(self) -> bool:
        """Return whether transformers can have a tokenizers that is kept: it asks for one minor."""
        kept = self._keep.get("tokenizers", "")
        asked = self._knowledge.tokenizers.get(
            minor_of(self._combination.packages.get("transformers", ""))
        )
        return not asked or any(is_satisfiable(f"{kept},=={minor}.*") for minor in asked)

    def _decide(self) -> None:
        for name in DECIDING:
            if name in self._combination.packages:
                self._then[name] = self._combination.packages[name]
            elif name in self._installed:
                self._then[name] = None
        self._first_out.update(self._then.keys() & self._environment.duplicates.keys())

    def _deciding_fail(self, required: AbstractSet[Capability]) -> bool:
        """Return whether an issue applies that nothing beside the deciding versions can cure."""
        result = self.result()
        packages = {name: v for name, v in result.packages.items() if name in DECIDING}
        bare = result._replace(packages=packages, complete=False, duplicates={}, signs={})
        return any(
            not required.isdisjoint(issue.capabilities) and applies(issue, bare)
            for issue in self._knowledge.decisive_of[self._combination.family]
        )

    def _part_families(self) -> None:
        """Take out what shares its files with what is wanted, and bring that back."""
        family = self._combination.family
        other_version = public(self._installed.get(family)) != public(self._then[family])
        for pair in SAME_FILES:
            wanted = (
                family if family in pair else next((n for n in pair if n in self._recorded), "")
            )
            foreign = [name for name in pair if name in self._installed and name != wanted]
            if wanted and (foreign or other_version or wanted not in self._installed):
                self._then.setdefault(wanted, self._recorded_version(wanted))
            if wanted and foreign:
                self._then.update(dict.fromkeys(foreign))
                self._first_out.update(name for name in pair if name in self._installed)

    def _repair(self) -> None:
        """Install anew what is not as it was installed."""
        for name in sorted(self._environment.damaged):
            if self._then.setdefault(name, self._installed[name]) is not None:
                self._first_out.add(name)

    def _match_builds(self) -> None:
        """Take out a torchaudio that was built for another CUDA than the torch beside it.

        And a torch that stays where the torchaudio that comes will be of another build.
        """
        torch, audio = self._build_of("torch"), self._environment.builds.get("torchaudio", "")
        if torch and audio and torch != audio and "torchaudio" in self._installed:
            self._first_out.add("torchaudio")
        audio = self._build_of("torchaudio")
        if torch and audio and torch != audio and "torch" in self._installed:
            self._first_out.add("torch")

    def _pin_followers(self) -> None:
        """Pin what nobody asks for by name where it matters."""
        # What a TTS that stays needs beside it is there, or an issue misses it.
        asked = self._combination.asked if self._changes(self._combination.family) else ()
        for name in self._followers():
            if name == "tokenizers" and self._is_adapted and name not in self._then:
                self._renew_tokenizers()
                continue
            if name in self._then or name not in self._recorded:
                continue
            have, recorded = self._installed.get(name), self._recorded[name]
            absent = have is None and (name in ALWAYS_PINNED or name in asked)
            parts = _SAME.get(name, 0)
            strange = have is not None and _begin(have, parts) != _begin(recorded, parts)
            troubles = self._troubles(name, have)
            version = self._recorded_version(name)
            sure = name in _SAME
            if ((absent or strange) and (version or sure)) or troubles:
                self._then[name] = version
            if sure and not version:
                self._limits[name] = f"=={'.'.join(_begin(recorded, parts))}.*"
            if troubles and have is not None:
                major = f"=={recorded.partition('.')[0]}.*"
                self._limits[name] = ",".join((major, *_newer(troubles)))

    def _renew_tokenizers(self) -> None:
        """Let go of a tokenizers that the transformers beside it does not take."""
        have = self._installed.get("tokenizers")
        asked = self._knowledge.tokenizers.get(minor_of(self._then.get("transformers") or ""))
        fits = minor_of(have or "") in asked if asked else not self._changes("transformers")
        if have and not fits:
            self._then["tokenizers"] = ""
            if asked:
                self._limits["tokenizers"] = f"=={max(asked, key=Version)}.*"

    @property
    def _is_adapted(self) -> bool:
        return "transformers" in self._combination.adapted

    def _alike(self, name: str) -> str:
        """Return a specifier of what an installed version may become for another Python."""
        return f"=={'.'.join(_begin(self._installed[name], _SAME[name]))}.*"

    def _renew_what_is_left(self) -> None:
        """Let go of versions that the run did not have and that do not go with the new ones."""
        for name in self._followers():
            have = self._installed.get(name)
            if have is None or name in self._then or name in self._recorded:
                continue
            if specifiers := self._troubles(name, have):
                newer = _newer(specifiers)
                self._then[name] = "" if len(newer) == len({*specifiers}) else None
                self._limits[name] = ",".join(newer)

    def _add_what_is_missing(self) -> None:
        """Put there what a known issue misses, also for the language that shall be spoken."""
        while missing := self._missing():
            self._then[missing] = ""

    def _missing(self) -> str:
        result = self.result()
        for issue in self._knowledge.missing:
            for condition in applying(issue, result):
                for name, wanted in condition.packages.items():
                    if wanted == "absent" and name not in NAMED:
                        return name
        return ""

    def _followers(self) -> list[str]:
        """Return what may matter beside the deciding distributions and their families."""
        return [*ALWAYS_PINNED, *sorted(self._knowledge.naming.keys() - NAMED - {*ALWAYS_PINNED})]

    def _troubles(self, name: str, have: str | None) -> list[str]:
        """Return the versions with which an issue applies only because one stays as it is."""
        issues = self._knowledge.naming.get(name)
        recorded = self._recorded.get(name)
        if not issues or have == recorded:
            return []
        result = self.result()
        others = {other: version for other, version in result.packages.items() if other != name}
        staying = result._replace(packages={**others, **({name: have} if have else {})})
        changed = result._replace(packages={**others, **({name: recorded} if recorded else {})})
        return [
            condition.packages[name]
            for issue in issues
            if applies(issue, staying) and not applies(issue, changed)
            for condition in applying(issue, staying)
            if name in condition.packages
        ]

    def _is_missed(self, name: str) -> bool:
        """Return whether an issue would apply only because a distribution is not there."""
        if self._troubles(name, None):
            return True
        result = self.result()
        rest = {other: version for other, version in result.packages.items() if other != name}
        without = result._replace(packages=rest)
        return any(
            applies(issue, without) and not applies(issue, result)
            for issue in self._knowledge.missing
            if issue in self._knowledge.naming[name]
        )

    def _leave_what_is_kept(self) -> None:
        """Leave alone what a constraint holds; where it forbids a pin, the installer chooses."""
        for name, specifier in self._keep.items():
            have = self._installed.get(name)
            if name in DECIDING or self.takes_away(name):
                continue
            if meets(specifier, self._then.get(name) or have):
                continue
            if meets(specifier, have) or have == "":  # A list says no version: the installer will.
                self._then.pop(name, None)
            elif self._is_rival(name):
                self._then[name] = None
            else:
                recorded = self._recorded.get(name, "")
                fits = self._same_python and meets(specifier, recorded)
                self._then[name] = recorded if fits else ""
                alike = f"=={'.'.join(_begin(recorded, _SAME[name]))}.*" if name in _SAME else ""
                if recorded and is_satisfiable(f"{specifier},{alike}".strip(",")):
                    self._limits.setdefault(name, alike)

    def _is_rival(self, name: str) -> bool:
        """Return whether what installs the same files as a distribution will be there."""
        rivals = {other for pair in SAME_FILES if name in pair for other in pair if other != name}
        return any(self._then.get(each, self._installed.get(each)) is not None for each in rivals)

    def _packages(self) -> dict[str, str]:
        relevant = self._knowledge.relevant | self._keep.keys()
        both = {**self._recorded, **self._installed}
        packages = {name: both[name] for name in relevant if name in both}
        for name in DECIDING:
            packages.pop(name, None)
        for name, version in self._then.items():
            packages.pop(name, None)
            if version is not None:
                packages[name] = version or self._likely(name)
        return packages

    def _likely(self, name: str) -> str:
        """Return a version that the installer may take where it is left to it; empty for any."""
        specifier = self._specifier(name)
        known = (
            self._recorded.get(name),
            choice(name, specifier, self._environment, self._knowledge),
        )
        return next((each for each in known if each and meets(specifier, each)), "")

    def _specifier(self, name: str) -> str:
        """Return what the installer must hold of what is left to it."""
        told = (self._keep.get(name), self._limits.get(name))
        return ",".join(dict.fromkeys(each for text in told if text for each in text.split(",")))

    def _changes(self, name: str) -> bool:
        if name not in self._then:
            return False
        now, then = self._installed.get(name), self._then[name]
        if now is None or then is None:
            return now != then
        if name in self._first_out or then == "":
            return True
        wanted = self._wanted_build(name)
        return public(now) != public(then) or (wanted != "" and wanted != _build(now))

    def _wanted_build(self, name: str) -> str:
        """Return the build that is asked for: torchaudio goes with torch."""
        own = self._kept_build.get(name, "")
        return own or (self._kept_build.get("torch", "") if name == "torchaudio" else "")

    def _build_of(self, name: str) -> str:
        """Return what torch or torchaudio will be built for; empty where nobody can tell."""
        if not self._changes(name):
            return self._environment.builds.get(name, "")
        version = self._of_build(name, self._then[name]) or ""
        return _build(version) or self._knowledge.build(self._environment.platform, name, version)

    def _of_build(self, name: str, version: str | None) -> str | None:
        """Return a version with the build that it must be of, where that is not left open."""
        if not version:
            return version
        build = self._wanted_build(name)
        if name == "torchaudio" and not build and not self._changes("torch"):
            # A torchaudio of another build does not start beside the torch that stays.
            build = _build(self._installed.get("torch", ""))
            if not self._changes(name):
                build = ""
        return f"{version}+{build}" if build and "+" not in version else version

    def _recorded_version(self, name: str) -> str:
        """Return the version that was run, or nothing where it may not be for this Python."""
        return self._recorded[name] if self._same_python else ""


def choice(name: str, specifier: str, environment: Environment, knowledge: Knowledge) -> str | None:
    """Return a version that a specifier allows.

    That is the installed one, or the one that it names, or the newest that was ever run.
    """
    installed = environment.packages.get(name)
    if installed and meets(specifier, installed):
        return public(installed)
    if exact := exact_in(specifier):
        return public(exact) if meets(specifier, exact) else None
    return next((each for each in knowledge.versions(name) if meets(specifier, each)), None)


def _build(version: str) -> str:
    """Return the build of a version or of a specifier: `cu128` of `==2.9.1+cu128`."""
    return version.partition("+")[2].partition(",")[0].strip()


def _wanted_build_in(specifier: str) -> str:
    """Return the build that a specifier asks for: what it only excludes is none."""
    exact = (each for each in specifier.split(",") if not each.strip().startswith("!="))
    return next(filter(None, map(_build, exact)), "")


def _newer(specifiers: Iterable[str]) -> list[str]:
    """Return what excludes the versions of those specifiers that only name old ones."""
    return list(
        dict.fromkeys(f">={each[1:]}" for each in specifiers if re.fullmatch(r"<[^,=]+", each))
    )


def _begin(version: str, parts: int) -> list[str]:
    return version.split(".")[:parts]
