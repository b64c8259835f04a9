"""What pyproject.toml cannot say: a wheel brings what is recorded as it was read while building."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT = Path(__file__).parent


class BuildWithSnapshot(build_py):
    """Writes the snapshot of the matrix beside what it was made of; a checkout has none."""

    def run(self) -> None:
        """Build, then read what is recorded by the package as it was built."""
        super().run()
        if self.editable_mode:
            return
        sys.path.insert(0, self.build_lib)
        sys.dont_write_bytecode = True  # What is built is what will be in the wheel.
        from xcompat.matrix.load import load_matrix
        from xcompat.matrix.snapshot import FOLDER, write_snapshot

        snapshot = Path(self.build_lib, "xcompat", "matrices", FOLDER)
        shutil.rmtree(snapshot, ignore_errors=True)
        written = PROJECT / "matrices"
        gpu = (written / "gpu.toml").read_text("utf-8")
        write_snapshot(load_matrix(written), gpu, snapshot)


setup(cmdclass={"build_py": BuildWithSnapshot})
