"""Reads `matrices/gpu.toml`: what PyTorch's builds ask of a graphics card and of its driver."""

from __future__ import annotations

from pathlib import Path

from xcompat import matrices
from xcompat.domain.gpu import GpuData
from xcompat.errors import CannotLook
from xcompat.matrix.snapshot import FOLDER
from xcompat.matrix.tables import BadTable, Table, json_of, table_of_toml

SHIPPED = Path(matrices.__file__).resolve().parent / "gpu.toml"


def load_gpu(file: Path | None = None) -> GpuData:
    """Return what is known of graphics cards, from `file` or from what comes with xcompat.

    Raises:
        CannotLook: `XC223` where the file is missing or is not what it should be.
    """
    try:
        table = _table(file)
        memory = table.table("memory")
        return GpuData(
            drivers={
                int(each.number("major")): {
                    system: each.text(system) for system in ("linux", "windows")
                }
                for each in table.tables("cuda")
            },
            releases={
                each.text("torch"): {
                    build: tuple(held.split()) for build, held in each.mapping("builds").items()
                }
                for each in table.tables("release")
            },
            wheels={
                key: what for each in table.tables("wheel") for key, what in _wheels(each).items()
            },
            capabilities=tuple(table.table("capabilities").mapping("names").items()),
            least_memory=int(memory.number("least_mib")),
            measured_memory=memory.text("measured_gib"),
        )
    except (OSError, UnicodeDecodeError, BadTable) as error:
        raise CannotLook(
            "XC223",
            f"the tables of graphics cards cannot be read: {error}",
            hint="install xcompat again",
        ) from error


def _table(file: Path | None) -> Table:
    snapshot = SHIPPED.with_name(FOLDER) / "gpu.json"
    if file is None and snapshot.exists():
        return Table(json_of(snapshot.read_text("utf-8")))
    return table_of_toml((file or SHIPPED).read_text("utf-8"))


def _wheels(table: Table) -> dict[tuple[str, str, str], tuple[str, tuple[str, ...]]]:
    distribution, platform = table.text("distribution"), table.text("platform")
    what = table.text("build"), tuple(table.text("architectures", "").split())
    return {(distribution, version, platform): what for version in table.text("versions").split()}
