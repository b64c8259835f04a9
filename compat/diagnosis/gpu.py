"""Says whether a torch uses the graphics card of a machine, why not, and what to type: pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from xcompat.domain import minor_of
from xcompat.domain.gpu import INDEX, Outlook
from xcompat.domain.versions import parsed, public

if TYPE_CHECKING:
    from xcompat.domain import Environment
    from xcompat.domain.gpu import Card, GpuData, Graphics

_COMPUTES_ON = {"cu": "nvidia", "rocm": "amd", "xpu": "intel"}
_TECHNOLOGY = {"cu": "CUDA", "rocm": "ROCm", "xpu": "XPU"}
_KINDS = {
    "linux-x86_64": ("cu", "rocm", "xpu"),
    "linux-aarch64": ("cu",),
    "win-amd64": ("cu", "xpu"),
}
"""What PyTorch has builds for on a platform."""
_USUAL = "linux-x86_64"
_HEEDED_BY = {
    "CUDA_VISIBLE_DEVICES": ("nvidia", "amd"),
    "HIP_VISIBLE_DEVICES": ("amd",),
    "ROCR_VISIBLE_DEVICES": ("amd",),
}
"""Environment variables that name cards, and whose drivers they are for."""
_NO_CARD = ("", "-1", "NoDevFiles")
"""Values of them that leave none."""


def outlook_of(environment: Environment, graphics: Graphics, data: GpuData) -> Outlook:
    """Return what XTTS has of the graphics of a machine with the torch of `environment`."""
    if environment.platform.startswith("macosx"):
        return _on_mac(environment, graphics)
    machine = _machine(environment.platform, graphics, data)
    if machine is None:
        seen = ", ".join(each.called for each in graphics.cards)
        none = f"PyTorch has no build for {seen}" if seen else "no graphics card was seen"
        return Outlook(graphics, why=none, build="cpu")
    card, torch = machine.card, str(public(environment.packages.get("torch", "")))
    if not torch:
        return Outlook(graphics, card, signs=machine.hints())
    default = machine.default("torch", torch)
    build = environment.builds.get("torch") or default
    sign, why = machine.obstacle(torch, build)
    right = machine.right_build(torch, str(public(environment.packages.get("torchaudio", ""))))
    # A driver that did not answer may still compute, or hang there too.
    known = bool(build) and machine.holds(torch, build) is not None and not graphics.trouble
    return Outlook(
        graphics,
        card,
        uses=False if why else True if known else None,
        why=why or graphics.trouble or _reason(torch, build, known=known),
        build=right,
        command=machine.command(environment, right) if sign in _MENDED_BY_A_BUILD else "",
        sign=sign if sign in _MENDED_BY_A_BUILD else "",
        signs=({sign: (f"{card.called}: {why}",)} if sign else {}) | machine.hints(),
    )


def build_for(torch: str, torchaudio: str, platform: str, graphics: Graphics, data: GpuData) -> str:
    """Return the build of a release of torch that a machine should have.

    An empty text means: the one that the default index gives, or nobody knows of a better one.
    """
    machine = _machine(platform, graphics, data)
    build = machine.right_build(torch, torchaudio) if machine else ""
    return "" if machine is None or build == machine.default("torch", torch) else build


_MENDED_BY_A_BUILD = ("gpu-cpu-torch", "gpu-other-torch", "gpu-no-kernels", "gpu-old-driver")


def _on_mac(environment: Environment, graphics: Graphics) -> Outlook:
    card = next(iter(graphics.cards), None)
    if card is None:
        return Outlook(graphics, why="PyTorch computes on Apple's own chips only")
    if environment.platform != "macosx-arm64":
        return Outlook(graphics, card, uses=False, why="this Python is for Intel processors")
    if "torch" not in environment.packages:
        return Outlook(graphics, card)
    return Outlook(graphics, card, uses=True, why="every PyTorch for this Mac has MPS")


def _reason(torch: str, build: str, *, known: bool) -> str:
    """Return why a torch that nothing stands against uses the card, or may."""
    if not build:
        return f"nobody says what torch {torch} was built for"
    if not known:
        return f"which cards torch {torch} ({build}) has code for is not known"
    return f"torch {torch} ({build}) has code for it"


def _machine(platform: str, graphics: Graphics, data: GpuData) -> _Machine | None:
    """Return a machine with the first card that PyTorch has builds for, or None without any."""
    built = {name for builds in data.releases.values() for held in builds.values() for name in held}
    vendors = {_COMPUTES_ON[kind] for kind in _KINDS.get(platform, ())}
    cards = [each for each in graphics.cards if each.vendor in vendors]
    card = next((each for each in cards if _has_builds(each, built)), None)
    if card is None:
        return None
    if card.vendor == "nvidia" and not card.architecture:
        card = card._replace(architecture=_architecture_by_name(card.name, data))
    return _Machine(platform, graphics, data, card)


class _Machine(NamedTuple):
    """A machine with a card, and what is known of the builds for it."""

    platform: str
    graphics: Graphics
    data: GpuData
    card: Card
    """What XTTS would be computed on."""

    def default(self, distribution: str, version: str) -> str:
        """Return the build that the default index gives; empty where that is not known."""
        return self.data.wheels.get((distribution, version, self.platform), ("", ()))[0]

    def builds(self, torch: str) -> dict[str, tuple[str, ...]]:
        """Return the builds of a release and the architectures in them, the default first."""
        found = dict(
            what
            for (distribution, version, platform), what in self.data.wheels.items()
            if distribution == "torch"
            and platform == self.platform
            and torch in (version, minor_of(version))
        )
        for name, architectures in self.data.releases.get(minor_of(torch), {}).items():
            # Of the builds for ARM only the default index's are known.
            if _kind(name) in _KINDS[self.platform] and self.platform != "linux-aarch64":
                found.setdefault(name, architectures)
        return found

    def holds(self, torch: str, build: str) -> bool | None:
        """Return whether a build has code for the card; None where that is not known."""
        if _COMPUTES_ON.get(_kind(build)) != self.card.vendor:
            return False
        if _kind(build) == "xpu":
            return True
        architectures = self.builds(torch).get(build)
        if not architectures or not self.card.architecture:
            return None
        return any(_runs_on(each, self.card.architecture) for each in architectures)

    def least_driver(self, build: str) -> str:
        """Return the least driver for a build, where an older one is here; else nothing."""
        system = "windows" if self.platform.startswith("win") else "linux"
        needed = self.data.drivers.get(_cuda_of(build), {}).get(system, "")
        here, least = parsed(self.graphics.drivers.get("nvidia")), parsed(needed)
        return needed if here and least and here < least else ""

    def obstacle(self, torch: str, build: str) -> tuple[str, str]:
        """Return what keeps a torch from the card: the sign of a known issue, and a sentence."""
        for name, value in self.graphics.variables.items():
            if value.strip() in _NO_CARD and self.card.vendor in _HEEDED_BY[name]:
                return "", f"{name}={value} hides it"
        if not self.card.ready:
            return "gpu-no-driver", self.graphics.trouble or "no driver for computing answers"
        return self._mismatch(torch, build) if build else ("", "")

    def _mismatch(self, torch: str, build: str) -> tuple[str, str]:
        told = f"torch {torch} ({build})"
        if build == "cpu":
            plain = ", as the default index gives it" * (self.default("torch", torch) == "cpu")
            return "gpu-cpu-torch", f"torch {torch} is built for the CPU alone{plain}"
        if _COMPUTES_ON.get(_kind(build)) != self.card.vendor:
            return "gpu-other-torch", f"{told} is built for {_TECHNOLOGY.get(_kind(build), build)}"
        if self.holds(torch, build) is False:
            where = self._where(torch)
            return "gpu-no-kernels", f"{told} has no code for {self.card.architecture}{where}"
        if least := self.least_driver(build):
            here = self.graphics.drivers["nvidia"]
            return "gpu-old-driver", f"{told} needs the driver {least} or newer, and {here} is here"
        return "", ""

    def hints(self) -> dict[str, tuple[str, ...]]:
        """Return the signs of what need not keep a torch from the card, and may."""
        card, others = self.card, [each for each in self.graphics.cards if each != self.card]
        signs: dict[str, tuple[str, ...]] = {}
        if 0 < card.memory < self.data.least_memory and not card.integrated:
            measured = self.data.measured_memory
            told = f"{card.called} has {card.memory / 1024:.1f} GiB; XTTS was measured to hold"
            signs["gpu-small"] = (f"{told} {measured} GiB, beside CUDA itself and the screen",)
        rivals = [
            each for each in others if each.vendor == "amd" and each.integrated and each.ready
        ]
        if card.vendor == "amd" and rivals:
            signs["gpu-two"] = (f"{card.called} beside {rivals[0].called} in the processor",)
        if not card.ready and any(each.integrated for each in others):
            signs["gpu-two"] = (f"{card.called} beside the graphics of the processor",)
        return signs

    def right_build(self, torch: str, torchaudio: str) -> str:
        """Return the build to have; empty where none serves.

        That is the default index's, here or on Linux, where it serves: most people have it. Else it
        is the newest. Where there is a torchaudio, there must be one of that build.
        """
        serving = [build for build in self.builds(torch) if self._serves(torch, build)]
        if torchaudio:
            beside = self.builds_of_companion(torchaudio)
            serving = [build for build in serving if build in beside]
        usual = [self.data.wheels.get(("torch", torch, each)) for each in (self.platform, _USUAL)]
        for default in usual:
            if default and default[0] in serving:
                return default[0]
        return max(serving, key=_age, default="")

    def builds_of_companion(self, torchaudio: str) -> set[str]:
        """Return the builds of a torchaudio, which goes with the torch of its number."""
        return {self.default("torchaudio", torchaudio), *self.builds(torchaudio)}

    def command(self, environment: Environment, build: str) -> str:
        """Return what to type for a torch that uses the card; empty where nothing is known."""
        versions = {
            name: public(environment.packages[name])
            for name in ("torch", "torchaudio")
            if name in environment.packages
        }
        if build:
            wanted = " ".join(f"{name}=={version}+{build}" for name, version in versions.items())
            return f"pip install {wanted} --index-url {INDEX}{build}"
        torch = str(versions["torch"])
        serving = self._serving_releases()
        newer = [each for each in serving if _number(each) > _number(torch)]
        if newer:
            return f'xcompat resolve --keep "torch>={newer[0]}"'
        if serving:
            major, minor = _number(serving[-1])
            return f'xcompat resolve --keep "torch<{major}.{minor + 1}"'
        return ""

    def _serving_releases(self) -> list[str]:
        """Return the minor releases of torch that have a build for this machine."""
        return [
            each
            for each in self.data.releases
            if any(self._serves(each, build) for build in self.builds(each))
        ]

    def _serves(self, torch: str, build: str) -> bool:
        return self.holds(torch, build) is not False and not self.least_driver(build)

    def _where(self, torch: str) -> str:
        """Return, as an addition, which releases have code for the card where this one has none."""
        if any(self.holds(torch, build) for build in self.builds(torch)):
            return ""
        releases = [
            each
            for each in self.data.releases
            if any(self.holds(each, build) for build in self.builds(each))
        ]
        if not releases:
            return ", and no other build is known to have it"
        return f", nor has another build of {minor_of(torch)}; {releases[0]} to {releases[-1]} have"


def _has_builds(card: Card, built: set[str]) -> bool:
    """Return whether PyTorch has builds for a card, as far as can be told."""
    if card.vendor == "nvidia":
        return True
    if card.vendor == "amd":
        return card.architecture in built or not (card.integrated or card.architecture)
    return not card.integrated


def _architecture_by_name(name: str, data: GpuData) -> str:
    return next((told for pattern, told in data.capabilities if re.search(pattern, name)), "")


def _runs_on(architecture: str, card: str) -> bool:
    """Return whether a card runs code for an architecture.

    NVIDIA's cards run code for the same major number up to their own minor one, and compile what
    is called `compute_` for themselves.
    """
    kind, _, number = architecture.partition("_")
    _, _, own = card.partition("_")
    if kind.startswith("gfx") or not own:
        return architecture == card
    told, mine = re.sub(r"\D", "", number), re.sub(r"\D", "", own)
    if kind == "compute":
        return int(told) <= int(mine)
    return told[:-1] == mine[:-1] and told[-1] <= mine[-1]


def _kind(build: str) -> str:
    """Return what a build computes with: `cu` of `cu128`."""
    match = re.match(r"[a-z]+", build)
    return match[0] if match else ""


def _cuda_of(build: str) -> int:
    """Return the major version of CUDA of a build; 0 where it is none for CUDA."""
    match = re.fullmatch(r"cu(\d+)\d", build)
    return int(match[1]) if match else 0


def _age(build: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", build)))


def _number(version: str) -> tuple[int, int]:
    told = parsed(version)
    return (told.major, told.minor) if told else (0, 0)
