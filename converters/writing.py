"""Carries out a plan: writes every file in one transaction, verifies it, and records it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from xcompat.converters.containers.safetensors_file import SafetensorsLayout
from xcompat.converters.containers.torch_file import TorchLayout
from xcompat.converters.containers.torch_records import RecordsLayout
from xcompat.converters.files import checksum
from xcompat.converters.files.output_folder import OutputFolder
from xcompat.converters.manifest import manifest_of
from xcompat.converters.model import official
from xcompat.converters.model.model_files import MANIFEST
from xcompat.converters.plan import Content, Layout, Plan
from xcompat.converters.report import CastReport, Conversion, WrittenFile
from xcompat.converters.values.printable import printable
from xcompat.errors import CannotLook, Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.files.output_file import OutputFile
    from xcompat.converters.model.narrowing import CastTo

Progress = Callable[[int, int], None]
"""Called with the bytes that were written so far and the bytes to write."""


class Options(TypedDict, total=False):
    """What `convert` and `repair` both can be told; see there."""

    dtype: CastTo | None
    dry_run: bool
    fsync: bool
    verify: bool
    sha256: bool
    progress: Progress | None


def write(
    plan: Plan,
    *,
    durable: bool,
    verify: bool,
    sha256: bool,
    replace_files: bool = False,
    swap: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write all files of a plan; return the conversion with what is only known then.

    Args:
        plan: What to write.
        durable: Return only when everything is on the disk.
        verify: Read the models back before they get their names, and compare.
        sha256: Compute the SHA-256 of the checkpoint.
        replace_files: Whether files that exist are replaced.
        swap: See `OutputFolder.commit`.
        progress: Called while weights are copied.

    Raises:
        Refusal, Corruption, CannotLook: as `convert`.
        OSError: The output cannot be written.
    """
    total = sum(layout.size for layout in plan.outputs.values())
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(min(done, total), total)

    with OutputFolder(plan.target, advance, durable=durable) as folder:
        _require_room(plan)
        checksums: dict[str, str] = {}
        for name, layout in plan.outputs.items():
            output = folder.create(name, layout.size)
            layout.write(output)
            if output.position != layout.size:
                raise AssertionError(f"{name} has {output.position} bytes, not {layout.size}")
            checksums[name] = _checksum(layout, output)
            if verify:
                _verify(output, layout)
        digest = official.sha256_of(plan.sources[0].file) if sha256 else ""
        for source in plan.sources:
            source.file.check_unchanged()
        conversion = plan.conversion._replace(
            files=tuple(
                file._replace(checksum=checksums[file.path]) for file in plan.conversion.files
            ),
            cast=_measured(plan),
            shared=sum(
                layout.shared
                for layout in plan.outputs.values()
                if isinstance(layout, RecordsLayout)
            ),
            sha256=digest,
            release=official.RELEASES.get(digest, ""),
            verified=verify,
        )
        if plan.has_manifest:
            manifest = manifest_of(conversion, [source.file for source in plan.sources])
            folder.create(MANIFEST, len(manifest)).write(manifest)
            listed = WrittenFile(path=MANIFEST, size=len(manifest))
            conversion = conversion._replace(files=(*conversion.files, listed))
        folder.commit(last=plan.models, replace=replace_files, swap=swap)
    return conversion


def _require_room(plan: Plan) -> None:
    """Find out early that the disk is too small, where nothing can be shared with the source."""
    needed = sum(
        layout.size for layout in plan.outputs.values() if not isinstance(layout, RecordsLayout)
    )
    free = shutil.disk_usage(plan.target).free
    if free < needed:
        raise OSError(28, f"{needed:,} bytes are needed and {free:,} are free")


def _checksum(layout: Layout, output: OutputFile) -> str:
    if isinstance(layout, Content):
        return f"sha256:{checksum.sha256(layout.data).hexdigest()}"
    return f"crc32:{output.crc32:08x}"


def _verify(output: OutputFile, layout: Layout) -> None:
    """Read a file back, through the reader that trusts nobody, and compare it with its source.

    The bytes come from the operating system, which may still have them in memory: this finds what
    went wrong on the way to the file, not a disk that forgets.

    Raises:
        CannotLook: XC111, what is in the file is not what was written.
    """
    try:
        difference = layout.differs(output.temporary)
    except (Refusal, Corruption) as error:
        difference = error.message
    if difference:
        raise CannotLook(
            "XC111",
            f"{printable(str(output.path), 4096)} was written, but what is in it is not right: "
            f"{difference}",
            hint="Nothing was left behind. Check the disk, or choose another one with -o.",
        )


def _measured(plan: Plan) -> CastReport | None:
    """Return what casting cost, over all tensors of one of the models."""
    if plan.conversion.cast is None:
        return None
    model = next(plan.outputs[name] for name in plan.models if name in plan.outputs)
    casts = model.written.casts if isinstance(model, (SafetensorsLayout, TorchLayout)) else {}
    if not casts:
        return plan.conversion.cast
    relative = {name: error / norm if norm else 0.0 for name, (error, norm) in casts.items()}
    worst = max(relative, key=relative.__getitem__)
    norm = math.hypot(*(norm for _, norm in casts.values()))
    return plan.conversion.cast._replace(
        error=math.hypot(*(error for error, _ in casts.values())) / norm if norm else 0.0,
        worst=worst,
        worst_error=relative[worst],
    )
