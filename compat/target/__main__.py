"""Entry point in the target interpreter: `python -I path/to/target/__main__.py COMMAND ...`.

The folder is loaded as a package under a name of its own, so that none of its modules can shadow,
or be shadowed by, a module of the target environment.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "xcompat_target"


def _load_package() -> None:
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Run one command: `make-checkpoint` or `smoke`."""
    _load_package()
    commands = {"make-checkpoint": "checkpoint", "smoke": "smoke"}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.stderr.write(f"usage: {Path(__file__).name} {{{','.join(commands)}}} ...\n")
        return 2
    module = importlib.import_module(f"{PACKAGE}.{commands[sys.argv[1]]}")
    return int(module.main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
