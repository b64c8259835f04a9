"""The graphics cards of a machine, what is known of PyTorch's builds, and what follows for XTTS.

Named tuples: the doctor makes these at each start, and a dataclass costs it half a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

INDEX = "https://download.pytorch.org/whl/"
"""Where PyTorch has an index for each of its builds."""

Vendor = Literal["nvidia", "amd", "intel", "apple"]


class Card(NamedTuple):
    """One graphics card, or the graphics of a processor."""

    vendor: Vendor
    name: str = ""
    """As its driver calls it; empty where only the bus tells of it."""
    architecture: str = ""
    """As PyTorch writes it, `sm_86` or `gfx1100`; empty where nobody tells it."""
    memory: int = 0
    """MiB; 0 where it is not told."""
    integrated: bool = False
    """It is a part of the processor."""
    ready: bool = True
    """Its driver answers; False where only the bus tells of it."""

    @property
    def called(self) -> str:
        """What to call it in a sentence."""
        maker = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel", "apple": "Apple"}[self.vendor]
        return self.name or (
            f"{maker} {self.architecture}" if self.architecture else f"{maker} card"
        )


class Graphics(NamedTuple):
    """What a machine computes pictures on."""

    cards: tuple[Card, ...] = ()
    """What can compute first: by its memory, and what belongs to a processor last."""
    drivers: Mapping[str, str] = {}
    """Vendor to the version of its driver."""
    variables: Mapping[str, str] = {}
    """Environment variables that name the cards that CUDA or ROCm may see, as they are set."""
    trouble: str = ""
    """Why the driver told nothing: its own words, or that it did not answer in time."""


class GpuData(NamedTuple):
    """What `matrices/gpu.toml` says."""

    drivers: Mapping[int, Mapping[str, str]]
    """Major version of CUDA to the least driver on `linux` and `windows`."""
    releases: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Minor release of torch to its builds on PyTorch's own index to the architectures in them."""
    wheels: Mapping[tuple[str, str, str], tuple[str, tuple[str, ...]]]
    """Distribution, version and platform to what the default index gives: the build, and the
    architectures that were read from it."""
    capabilities: tuple[tuple[str, str], ...]
    """Patterns of names of NVIDIA cards, and the architecture of each."""
    least_memory: int
    """MiB that XTTS needs."""
    measured_memory: str
    """GiB that it held when it was measured."""


class Outlook(NamedTuple):
    """What XTTS has of the graphics of a machine, with one torch."""

    graphics: Graphics
    card: Card | None = None
    """What it would be computed on; None where there is nothing that PyTorch has builds for."""
    uses: bool | None = None
    """Whether this torch uses that card; None where that is not known, or there is no torch."""
    why: str = ""
    """One sentence without a full stop: why it does, does not, or may not."""
    build: str = ""
    """The build of torch that this machine should have; empty where that is not known."""
    command: str = ""
    """A `pip` command that puts it there; empty where nothing need be done or can be."""
    sign: str = ""
    """The one of the signs that the command mends."""
    signs: Mapping[str, tuple[str, ...]] = {}
    """What known issues of graphics cards go by, and what was seen."""
