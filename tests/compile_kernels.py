"""Compile the Triton kernels at full size for cards that are not here: no card is needed.

    python -I tests/compile_kernels.py

Says of each way to hold weights what the kernels need on each generation of cards. It fails where
one does not compile, or keeps more in memory than a few bytes that found no register. `nox -s
runtime` runs it where Triton is installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_runtime import target

CAPABILITIES = (75, 80, 86, 89, 90, 100, 120)
"""Of a T4, an A100, cards of the series 30 and 40, an H100, a B200 and cards of the series 50."""
CHANNELS, HEADS, POSITIONS = 1024, 16, 256
KINDS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "i8", "int64": "i64"}
"""How Triton calls torch's types."""
USUAL_WARPS = 4
MOST_SPILLED = 16
"""Bytes of a thread that may be without a register: Triton 3.6 leaves 8 on a B200."""


class Launches:
    """Stands in for a kernel, and notes how it is called."""

    def __init__(self, kernel: Any, noted: list[Any]) -> None:
        self._kernel, self._noted = kernel, noted

    def __getitem__(self, _: Any) -> Callable[..., None]:
        def launch(*args: Any, **constants: Any) -> None:
            self._noted.append((self._kernel, args, constants))

        return launch


def launches(kind: str) -> list[Any]:
    """Return the kernels of one block, and what they are called with."""
    import torch

    fused, noted = target("fused"), []
    kernels = {n: k for n, k in vars(fused).items() if hasattr(k, "fn") and n != "_finished"}
    blocks = [block(getattr(torch, kind))]
    caches = [torch.zeros(2, 1, HEADS, POSITIONS, CHANNELS // HEADS, device="meta")]
    at = torch.zeros(1, dtype=torch.long, device="meta")
    vars(fused).update({name: Launches(kernel, noted) for name, kernel in kernels.items()})
    try:
        fused.FusedBlocks(blocks, HEADS)(torch.zeros(1, CHANNELS, device="meta"), caches, at)
    finally:
        vars(fused).update(kernels)
    return noted


def block(dtype: Any) -> Any:
    """Return the shapes of a block whose weights are held in a type."""
    import torch

    def projection(inputs: int, outputs: int) -> Any:
        bias = torch.zeros(outputs, device="meta")
        held = torch.zeros(outputs, inputs, dtype=dtype, device="meta")
        return types.SimpleNamespace(held=held, bias=bias, scales=lambda: torch.ones_like(bias))

    norm = torch.nn.LayerNorm(CHANNELS, device="meta")
    shapes = ((1, 3), (1, 1), (1, 4), (4, 1))
    return types.SimpleNamespace(
        norms=(norm, norm),
        projections=[projection(CHANNELS * i, CHANNELS * o) for i, o in shapes],
    )


def compiled(launch: Any, capability: int) -> tuple[int, int]:
    """Compile a kernel as it is launched; return its registers, and its bytes of local memory."""
    import torch
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel, args, constants = launch
    signature, even = dict.fromkeys(constants, "constexpr"), {}
    for index, (name, value) in enumerate(zip(kernel.arg_names, args)):
        is_tensor = isinstance(value, torch.Tensor)
        if is_tensor:
            signature[name] = "*" + KINDS[str(value.dtype).partition(".")[2]]
        else:
            signature[name] = "fp32" if isinstance(value, float) else "i32"
        if is_tensor or (isinstance(value, int) and value % 16 == 0):
            even[index,] = [["tt.divisibility", 16]]
    signature = {name: signature[name] for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=even)
    options = {"num_warps": USUAL_WARPS}
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    reader = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        told = subprocess.run(
            [reader, "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    uses = {name: int(count) for name, count in re.findall(r"(REG|STACK|LOCAL):(\d+)", told)}
    return uses["REG"], uses["STACK"] + uses["LOCAL"]


def main() -> int:
    if importlib.util.find_spec("triton") is None:
        print("compiled     not proved: no Triton here")
        return 0
    version = importlib.metadata.version("triton")
    if tuple(map(int, version.split(".")[:2])) < (3, 5):
        print(f"compiled     not proved: Triton {version} is asked in another way")
        return 0
    worst = 0
    for kind in ("float32", "float16", "bfloat16", "int8"):
        made = launches(kind)
        most = {}
        for capability in CAPABILITIES:
            uses = [compiled(launch, capability) for launch in made]
            worst = max(worst, *(local for _, local in uses))
            most[capability] = max(registers for registers, _ in uses)
        told = ", ".join(f"sm_{capability} {count}" for capability, count in most.items())
        print(f"compiled     {len(made)} kernels a block, {kind}; registers {told}", flush=True)
    print(f"compiled     by Triton {version}; without a register: {worst} bytes of a thread")
    return 1 if worst > MOST_SPILLED else 0


if __name__ == "__main__":
    sys.exit(main())
