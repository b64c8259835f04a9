"""Plant faults in a live XTTS of the real classes, and show that the smoke's judges find each.

    nox -s judges -- PYTHON...

In the target: `planted.py FOLDER LINES` writes one JSON line per fault, what the stages told of a
model that has it. Here: `planted.py LINES` judges them. The model is the tiny untrained one; it
stands for the one on a device, and a second one, without fault, for the one on the CPU.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
STEP = "as on the CPU: "
FAULTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "bfloat16 in the vocoder's input": (),
    "NaN in one sample": ("speak: finite", STEP + "vocoder"),
    "NaN in a weight of the GPT": ("tokens", STEP + "first logits"),
    "silence": ("speak: not silent", STEP + "vocoder"),
    "a constant": ("speak: not silent", STEP + "vocoder"),
    "a tone": ("speak: not a tone", STEP + "vocoder"),
    "clipping": ("speak: not clipped", STEP + "vocoder"),
    "half the sound": ("speak: length follows the tokens", STEP + "vocoder"),
    "wrong tokens": ("tokens",),
    "deaf to the text": ("tokens",),
    "latents of the code before": ("speak: right latents",),
    "shuffled vocoder": (STEP + "vocoder",),
    "noise": (STEP + "vocoder",),
    "a weight of the speaker encoder": (STEP + "speaker embedding",),
    "a weight of the conditioning": (STEP + "conditioning latents",),
    "a weight of the last block": (STEP + "forced latents",),
}
"""What is planted, and which judgements must fail; `tokens` is the stage itself."""


def plant(model: Any, fault: str) -> None:
    """Make a model wrong."""
    import torch

    changes: dict[str, Callable[[Any], Any]] = {
        "NaN in one sample": _with_nan,
        "silence": lambda wav: wav * 0,
        "a constant": lambda wav: wav * 0 + 0.3,
        "a tone": lambda wav: 0.3 * torch.sin(torch.arange(wav.shape[-1]) / 9.0).view(wav.shape),
        "clipping": lambda wav: (wav * 1e4).clamp(-1, 1),
        "half the sound": lambda wav: wav[..., : wav.shape[-1] // 2],
        "shuffled vocoder": _shuffled,
        "noise": lambda wav: 0.1 * torch.randn_like(wav),
    }
    if fault in changes:
        _after(model.hifigan_decoder, "forward", changes[fault])
    elif fault == "bfloat16 in the vocoder's input":
        forward = model.hifigan_decoder.forward
        model.hifigan_decoder.forward = lambda latents, g=None: forward(
            latents.bfloat16().float(), g=g
        )
    elif fault == "wrong tokens":
        _after(model.gpt, "generate", lambda codes: torch.where(codes == 5, codes, codes ^ 1))
    elif fault == "deaf to the text":
        generate = model.gpt.generate
        model.gpt.generate = lambda cond_latents, text_inputs, **kwargs: generate(
            cond_latents=cond_latents, text_inputs=text_inputs * 0 + 7, **kwargs
        )
    elif fault == "latents of the code before":
        forward = model.gpt.forward
        model.gpt.forward = lambda text, lengths, codes, *rest, **named: forward(
            text, lengths, codes.roll(1, -1), *rest, **named
        )
    elif fault != "none":
        # The decoder took copies of some weights when it was attached.
        runtime = importlib.import_module("xcompat_target.runtime")
        model.xcompat.detach()
        _change_weight(model, fault)
        model.xcompat = runtime.attach(model)


def _change_weight(model: Any, fault: str) -> None:
    import torch

    part = {
        "NaN in a weight of the GPT": "gpt.gpt.h.0.mlp.c_fc.weight",
        "a weight of the speaker encoder": "hifigan_decoder.speaker_encoder.fc.weight",
        "a weight of the conditioning": "gpt.conditioning_encoder.init.weight",
        "a weight of the last block": "gpt.gpt.h.1.mlp.c_proj.weight",
    }[fault]
    owner = model.get_submodule(part.rpartition(".")[0])
    weight = owner.weight.detach().clone()
    if "NaN" in fault:
        weight.view(-1)[0] = float("nan")
    else:
        weight *= 0.5
    owner.weight = torch.nn.Parameter(weight, requires_grad=False)


def _after(owner: Any, name: str, change: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: change(original(*args, **kwargs)))


def _with_nan(wav: Any) -> Any:
    wav = wav.clone()
    wav.view(-1)[100] = float("nan")
    return wav


def _shuffled(wav: Any) -> Any:
    import torch

    whole = wav.reshape(-1)
    blocks = list(whole.split(1024))
    order = torch.randperm(len(blocks), generator=torch.Generator().manual_seed(0)).tolist()
    return torch.cat([blocks[i] for i in order]).view(wav.shape)


def in_the_target(folder: Path, answers: IO[str]) -> None:
    """Run the stages on a model with each fault, and write what they told."""
    package = ROOT / "compat" / "target"
    spec = importlib.util.spec_from_file_location(
        "xcompat_target", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["xcompat_target"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["xcompat_target"])
    stages = importlib.import_module("xcompat_target.stages")
    intermediates = importlib.import_module("xcompat_target.intermediates")
    loader = importlib.import_module("xcompat_target.loader")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    scratch = Path(tempfile.mkdtemp())
    request = {
        "device": "cpu",
        "model": str(folder),
        "text": stages.CHECK_TEXTS[0],
        "language": "en",
        "reference_wav": str(scratch / "hum.wav"),
    }
    with contextlib.redirect_stdout(sys.stderr):
        on_cpu = loader.load_xtts(folder, runtime="xcompat")
        sane = stages.Smoke(request)
        sane.model = on_cpu
        sane.run_tokens()
        for fault in FAULTS:
            smoke = stages.Smoke(request)
            smoke.model = loader.load_xtts(folder, runtime="xcompat")
            plant(smoke.model, fault)
            told: dict[str, Any] = {"fault": fault}
            for stage in ("condition", "tokens", "speak"):
                try:
                    told[stage] = getattr(smoke, f"run_{stage}")()
                except Exception as error:
                    told[stage] = {"error": f"{type(error).__name__}: {error}"}
            told["steps"] = intermediates.compare(
                smoke.model,
                on_cpu,
                smoke._reference_wav(),
                smoke._text_tokens(request["text"], "en"),
                sane.codes,
            )
            print(json.dumps(told), file=answers, flush=True)


def judge(lines: list[str]) -> int:
    """Judge what the target told; return how many faults were not found, or found in vain."""
    from xcompat.smoke import judge as judges

    wrong = 0
    for told in map(json.loads, lines):
        failed = {j.name for j in judges.judge_intermediates(told["steps"]) if not j.passed}
        if "error" in told["tokens"]:
            failed.add("tokens")
        if "error" in told["speak"]:
            failed.add("speak")
        else:
            heard = told["speak"]
            sound = judges.judge_spoken("speak", heard, speech=False)
            failed |= {f"speak: {j.name}" for j in sound if not j.passed}
        expected = FAULTS[told["fault"]]
        missed = set(expected) - failed
        in_vain = failed if not expected else set()
        wrong += bool(missed or in_vain)
        mark = "NOT AS EXPECTED" if missed or in_vain else "found" if expected else "nothing found"
        steps = ", ".join(f"{name} {step['error']:.0e}" for name, step in told["steps"].items())
        print(f"{told['fault']}: {mark}: {', '.join(sorted(failed)) or '-'} ({steps})")
    if len(lines) != len(FAULTS):
        print(f"{len(lines)} of {len(FAULTS)} faults were planted")
    return wrong + abs(len(lines) - len(FAULTS))


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    lines = Path(sys.argv[-1])
    if len(sys.argv) > 2:
        with lines.open("w", encoding="utf-8") as answers:
            in_the_target(Path(sys.argv[1]), answers)
    else:
        sys.exit(1 if judge(lines.read_text("utf-8").splitlines()) else 0)
