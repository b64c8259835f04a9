"""A torch checkpoint as data: its value tree, and where each tensor's bytes are in the file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from xcompat.converters.containers.recognise import refuse_foreign_format
from xcompat.converters.containers.tensor_file import TensorFile
from xcompat.converters.containers.zip_reader import read_archive
from xcompat.converters.pickles.allowlist import TENSORS_ONLY
from xcompat.converters.pickles.machine import Machine
from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.errors import Corruption, Refusal, XcompatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.containers.records import Archive, ArchiveRecord
    from xcompat.converters.values.tensors import Storage


class TorchSource(TensorFile):
    """An opened `.pth` file, as `torch.save` writes it.

    Attributes:
        archive: Its directory.
        names_only_tensors: Whether its pickle names nothing but tensors and ordered dicts, so that
            every torch loads it under `weights_only=True`.

    Raises:
        XcompatError: XC101 to XC108 and XC112, with the file's name; see `Machine.run`,
            `read_archive`, `refuse_foreign_format` and `SourceFile`.
    """

    archive: Archive
    names_only_tensors: bool

    def _read(self) -> None:
        refuse_foreign_format(self.file)
        self.archive = read_archive(self.file)
        self.checksummed = self.archive.checksummed
        self.value = self._read_pickle()

    def find(self, storage: Storage) -> ArchiveRecord | None:
        """Return the record that holds a storage, None where there is none."""
        row = self.archive.records.row_of_storage(storage.key)
        return None if row < 0 else self.archive.records.at(row)

    def _read_pickle(self) -> Any:
        records = self.archive.records
        if "data.pkl" not in records:
            raise _not_a_checkpoint(records)
        if "constants.pkl" in records:
            raise Refusal(
                "XC101",
                "this is a TorchScript archive: a compiled program, not a checkpoint",
                hint="Use the model.pth of the release or of your training.",
            )
        for name in records:
            if name.endswith(".pkl") and name != "data.pkl":
                raise Refusal(
                    "XC103",
                    f"the archive holds a second pickle, `{printable(name)}`",
                    hint="torch.save writes one, data.pkl: save the checkpoint again with torch.",
                )
        if "byteorder" in records and self.archive.read(self.file, "byteorder") != b"little":
            raise Refusal(
                "XC101",
                "this checkpoint was saved on a big-endian machine",
                hint="Load and save it with torch on a little-endian machine first.",
            )
        version = "version" if "version" in records else ".data/version"
        if not self.archive.read(self.file, version).strip().isdigit():
            raise Corruption("XC102", "the archive's `version` record holds no number")
        size = records["data.pkl"].size
        limits.check("bytes of data.pkl", size, limits.PICKLE_BYTES)
        machine = Machine()
        value, end = machine.run(partial(self.archive.pieces, self.file, "data.pkl"))
        self.names_only_tensors = machine.named <= TENSORS_ONLY
        if end != size:
            raise Refusal("XC105", f"{size - end} bytes follow the STOP of the pickle")
        return value


def _not_a_checkpoint(records: Mapping[str, ArchiveRecord]) -> XcompatError:
    found = ", ".join(printable(name, 40) for name in list(records)[:4])
    return Corruption(
        "XC102",
        f"a zip archive, but not a torch checkpoint: it has no data.pkl, but {found}",
        hint="If this is a packed model folder, unpack it and convert the folder.",
    )
