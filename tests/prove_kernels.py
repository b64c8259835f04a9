"""Prove the Triton kernels without a card: `python -I tests/prove_kernels.py FOLDER [PROOF ...]`.

FOLDER holds the tiny release checkpoint, converted. Triton's interpreter runs each kernel on the
CPU, program by program. `nox -s runtime` runs it where Triton is installed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Iterator

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
sys.path.insert(0, str(Path(__file__).resolve().parent))

from prove_runtime import (
    PENALTY,
    Failed,
    Proofs,
    decode,
    expect,
    importlib,
    loader,
    options,
    products,
    runtime,
    torch_version,
)

import torch


TOKENS = 4
FUSED = decode.Policy(window=8, fixed=True, fused=True)
KINDS = (
    ({}, 1e-5),
    ({"dtype": "float16"}, 0.01),
    ({"dtype": "bfloat16"}, 0.05),
    ({"quantize": "int8"}, 0.15),
)
"""How weights are held, and how far latents may be from float32."""


class Kernels(Proofs):
    """The proofs' model, texts and voices."""

    def equal(self) -> str:
        """Float32 gives the same tokens; shorter weights what the same weights give exactly."""
        gpt = self.ours.gpt
        plain = self.decoded(self.ours.xcompat.decoder)
        told = []
        for kwargs, allowed in KINDS:
            fused = decode.Decoder(gpt, policy=FUSED, **kwargs)
            expect(fused.kernel == "triton", f"{kwargs}: {fused.kernel}")
            with self.without_weights(fused):
                tokens, latents = self.decoded(fused)
            # The first is of the prefix, which torch computes; the second follows the same token.
            apart = float((latents[1] - plain[1][1]).abs().max())
            if not kwargs:
                expect(torch.equal(tokens, plain[0]), "other tokens than torch")
                apart = float((latents - plain[1]).abs().max())
            expect(not kwargs or apart > 1e-6, f"{kwargs}: nothing was rounded")
            waiting = {tuple(tensor.shape) for tensor in fused._waiting}
            weights = {tuple(p.shape) for p in gpt.gpt.h.parameters() if p.dim() == 2}
            expect(bool(kwargs) == (weights <= waiting), "held twice, or not at all")
            expect(tuple(gpt.text_head.weight.shape) in waiting, "what no decode needs is there")
            expect(apart <= allowed, f"{kwargs}: latents differ by {apart:.1e}")
            told.append(f"{next(iter(kwargs.values()), 'float32')} {apart:.1e}")
        held = gpt.gpt.h[0].mlp.c_fc.weight
        expect(held.t().is_contiguous(), "the weights are held twice")
        return ", ".join(told)

    def turned(self) -> str:
        """Where weights of float32 are turned, nothing holds on to the other order."""
        model = loader.load_xtts(self.folder, runtime="stock")
        held, turn = [], products.turn

        def watched(layer: Any) -> None:
            storage = layer.weight.data.untyped_storage()
            turn(layer)
            held.append(torch._C._storage_Use_Count(storage._cdata) - 1)

        products.turn = watched
        try:
            decode.Decoder(model.gpt, policy=FUSED)
        finally:
            products.turn = turn
        expect(len(held) == 4 * len(model.gpt.gpt.h), f"{len(held)} were turned")
        expect(not any(held), f"users of the other order: {held}")
        return f"{len(held)} weights, each held once"

    def refused(self) -> str:
        """Where the kernels cannot be had, float32 says so and shorter weights are refused."""
        kept = sys.modules.pop("xcompat_target.fused")
        sys.modules["xcompat_target.fused"] = None  # type: ignore[assignment]
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                plain = decode.Decoder(self.ours.gpt, policy=FUSED)
            expect(plain.kernel.startswith("torch: no Triton kernels"), plain.kernel)
            told = [str(each.message) for each in said]
            expect(len(told) == 1 and "without Triton's kernels" in told[0], f"said {told}")
            try:
                decode.Decoder(self.ours.gpt, policy=FUSED, quantize="int8")
            except products.CannotAttach as refusal:
                expect("without Triton" in str(refusal), f"unclear refusal: {refusal}")
            else:
                raise Failed("int8 without kernels was not refused")
        finally:
            sys.modules["xcompat_target.fused"] = kept
        return "said, and refused"

    @contextlib.contextmanager
    def without_weights(self, decoder: object) -> Iterator[None]:
        """Return a block in which what waits in the host's memory is no numbers."""
        kept = [(weight, weight.data) for weight in decoder._waiting]  # type: ignore[attr-defined]
        for weight, numbers in kept:
            weight.data = torch.full_like(numbers, torch.nan if weight.is_floating_point() else 0)
        decoder._signature = decoder._what_is_decoded_with()  # type: ignore[attr-defined]
        try:
            yield
        finally:
            for weight, numbers in kept:
                weight.data = numbers

    def brought_back(self) -> str:
        """What waits comes back to where the model is, for stock's methods and when detached."""
        model = self.ours
        model.xcompat.detach()
        text = self.tokens("Good morning.")
        with runtime.attach(model, dtype="float16") as attached, torch.inference_mode():
            decoder = attached.decoder
            decoder._wanted_policy, decoder._signature = FUSED, None
            for act in (
                lambda: model.gpt.generate(self.voices[0][0], text, num_beams=3),
                lambda: model.gpt.forward(text, torch.tensor([13]), text, torch.tensor([13000])),
            ):
                self.decoded(decoder)
                expect(decoder._waiting, "nothing waits")
                with contextlib.suppress(Exception):  # where stock fails here, it was asked
                    act()
                expect(not decoder._waiting, "stock was not given its weights")
            self.decoded(decoder)
            count = len(decoder._waiting)
        expect(not decoder._waiting, "detached without its weights")
        return f"{count} weights and masks"

    def decoded(self, decoder: object) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = options.Options(TOKENS, repetition_penalty=PENALTY)
        with torch.inference_mode():
            prefix = decoder.prefix(self.voices[0][0], self.tokens("Good morning."))  # type: ignore[attr-defined]
            parts = list(decoder.windows(list(prefix), chosen))  # type: ignore[attr-defined]
        tokens, latents = (torch.cat(each, dim=1) for each in zip(*parts))
        return tokens, latents[0]


def interpreter_fault() -> str:
    """Return why Triton's interpreter cannot run here, whatever the kernel; empty where it can.

    That of 3.6 makes numbers of arrays of one element, which numpy 2.4 refuses.
    """
    import numpy

    try:
        int(numpy.zeros(1))
    except TypeError as error:
        newer = tuple(map(int, importlib.metadata.version("triton").split(".")[:2])) > (3, 6)
        return "" if newer else f"numpy {numpy.__version__} says {error} (numpy<2.4 does not)"
    return ""


def main() -> int:
    if importlib.util.find_spec("triton") is None or torch_version() < (2, 4):
        print("kernels      not proved: no Triton here whose interpreter is known")
        return 0
    if fault := interpreter_fault():
        print(f"kernels      not proved: Triton's interpreter does not run here: {fault}")
        return 0
    # Of so few channels, more outputs for a program: the interpreter takes milliseconds for each.
    fused = importlib.import_module("xcompat_target.fused")
    fused._OUTPUTS, fused._OUTPUTS_OF_WIDE = 32, 64
    proofs = Kernels(Path(sys.argv[1]), Path())
    for name in sys.argv[2:] or ("equal", "turned", "refused", "brought_back"):
        print(f"kernels, {name}: {getattr(proofs, name)()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
