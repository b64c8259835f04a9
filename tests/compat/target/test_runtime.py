"""What of the runtime needs no torch: options, refusals, structure. `nox -s runtime` runs it."""

from __future__ import annotations

import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from xcompat import load_xtts
from xcompat.target import decode, options, products, structure

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 602
AS_TTS_PASSES_THEM = {
    "input_tokens": None,
    "do_sample": True,
    "top_p": 0.85,
    "top_k": 50,
    "temperature": 0.75,
    "num_return_sequences": 1,
    "num_beams": 1,
    "length_penalty": 1.0,
    "repetition_penalty": 10.0,
    "output_attentions": False,
}


def test_the_options_that_tts_passes_are_read() -> None:
    assert options.read_options(AS_TTS_PASSES_THEM, LIMIT) == options.Options(
        max_new_tokens=LIMIT,
        do_sample=True,
        temperature=0.75,
        top_k=50,
        top_p=0.85,
        repetition_penalty=10.0,
    )


def test_defaults_are_those_of_transformers() -> None:
    assert options.read_options({}, LIMIT) == options.Options(
        max_new_tokens=LIMIT,
        do_sample=False,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        repetition_penalty=1.0,
        num_return_sequences=1,
    )
    assert options.read_options({"top_k": None, "temperature": None}, LIMIT).top_k == 50


@pytest.mark.parametrize(
    "option",
    [
        {"num_beams": 4},
        {"num_beam_groups": 2},
        {"typical_p": 0.9},
        {"no_repeat_ngram_size": 2},
        {"min_length": 5},
        {"suppress_tokens": [3]},
        {"logits_processor": [print]},
        {"output_attentions": True},
        {"return_dict_in_generate": True},
        {"made_up": 0},
        {"max_length": 20},
    ],
)
def test_what_is_not_done_is_refused_by_name(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(options.UnsupportedOption, match=name):
        options.read_options({**AS_TTS_PASSES_THEM, **option}, LIMIT)


def test_streaming_passes_return_dict_for_itself() -> None:
    given = {**AS_TTS_PASSES_THEM, "return_dict_in_generate": True, "output_hidden_states": True}
    assert options.read_options(given, LIMIT, streaming=True).do_sample


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"repetition_penalty": 0}, "repetition_penalty is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; this model decodes 1 to 602"),
        ({"max_new_tokens": 603}, "max_new_tokens is 603"),
        ({"num_return_sequences": 0}, "num_return_sequences is 0"),
        ({"num_return_sequences": 2, "do_sample": False}, "greedy ones are equal"),
    ],
)
def test_values_out_of_range_are_told(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options.read_options({**AS_TTS_PASSES_THEM, **option}, LIMIT)


def test_sampling_options_do_not_matter_to_greedy_decoding() -> None:
    assert not options.read_options({"do_sample": False, "temperature": 0.0}, LIMIT).do_sample


def gpt(**changes: Any) -> Any:
    """A GPT of 1 layer and 8 channels, with shapes and no values."""

    def tensor(*shape: int) -> Any:
        return SimpleNamespace(shape=shape)

    def layer(*shape: int) -> Any:
        return SimpleNamespace(weight=tensor(*shape), bias=tensor(shape[-1]))

    block = SimpleNamespace(
        ln_1=layer(8),
        attn=SimpleNamespace(c_attn=layer(8, 24), c_proj=layer(8, 8)),
        ln_2=layer(8),
        mlp=SimpleNamespace(c_fc=layer(8, 32), c_proj=layer(32, 8)),
    )
    config = SimpleNamespace(
        n_head=2,
        activation_function="gelu_new",
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        add_cross_attention=False,
    )
    parts = {
        "model_dim": 8,
        "heads": 2,
        "layers": 1,
        "num_audio_tokens": 40,
        "max_gen_mel_tokens": 20,
        "start_audio_token": 38,
        "stop_audio_token": 39,
        "start_text_token": 1,
        "stop_text_token": 0,
        "mel_embedding": layer(40, 8),
        "mel_head": SimpleNamespace(weight=tensor(40, 8), bias=tensor(40)),
        "final_norm": layer(8),
        "text_embedding": layer(30, 8),
        "text_pos_embedding": SimpleNamespace(emb=layer(16, 8)),
        "mel_pos_embedding": SimpleNamespace(emb=layer(25, 8)),
        "gpt": SimpleNamespace(h=[block], ln_f=layer(8), config=config, wpe=print),
    }
    return SimpleNamespace(**{**parts, **changes})


def test_the_known_structure_is_accepted() -> None:
    structure.check_structure(gpt())


def test_tts_up_to_0_20_3_counts_the_prefix_into_its_usual_limit() -> None:
    newer = SimpleNamespace(gpt=gpt(), limit=20)
    parts = vars(gpt(max_mel_tokens=25))
    del parts["max_gen_mel_tokens"]
    older = SimpleNamespace(gpt=SimpleNamespace(**parts), limit=25)
    structure.check_structure(older.gpt)
    for prefix, usual in ((7, 17), (24, 1), (40, 1)):
        assert decode.Decoder.usual_limit(older, SimpleNamespace(shape=(1, prefix, 8))) == usual
        assert decode.Decoder.usual_limit(newer, SimpleNamespace(shape=(1, prefix, 8))) == 20
    assert options.read_options({}, 25, 17).max_new_tokens == 17
    assert options.read_options({"max_new_tokens": 20}, 25, 17).max_new_tokens == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "not a multiple"),
        ({"layers": 2}, "1 blocks, not 2"),
        ({"stop_audio_token": None}, "gpt.stop_audio_token is None"),
        ({"max_gen_mel_tokens": 30}, "25 audio positions for 30 tokens"),
        ({"mel_head": SimpleNamespace()}, "no gpt.mel_head.weight"),
        ({"num_audio_tokens": 41}, "gpt.mel_embedding.weight has the shape"),
        ({"gpt": SimpleNamespace()}, "no gpt.gpt"),
    ],
)
def test_an_unknown_structure_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(products.CannotAttach, match=message):
        structure.check_structure(gpt(**changes))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("activation_function", "gelu"),
        ("scale_attn_by_inverse_layer_idx", True),
        ("add_cross_attention", True),
        ("n_head", 4),
    ],
)
def test_another_kind_of_gpt2_is_refused(setting: str, value: Any) -> None:
    model = gpt()
    setattr(model.gpt.config, setting, value)
    with pytest.raises(products.CannotAttach, match=setting):
        structure.check_structure(model)


def test_positions_that_would_be_added_twice_are_refused() -> None:
    model = gpt()
    model.gpt.wpe = SimpleNamespace(parameters=lambda: [1])
    with pytest.raises(products.CannotAttach, match="positions are added twice"):
        structure.check_structure(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "mine"}, "known: auto, xcompat, stock"),
        ({"dtype": "float8"}, "known: float32, bfloat16, float16"),
        ({"quantize": "int4"}, "known: int8"),
        ({"quantize": "int8", "dtype": "bfloat16"}, "not both"),
        ({"quantize": "int8", "runtime": "stock"}, "need the xcompat runtime"),
        ({"dtype": "torch.bfloat16", "runtime": "stock"}, "need the xcompat runtime"),
    ],
)
def test_load_xtts_refuses_what_it_does_not_know(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_xtts(tmp_path, **options)


def test_load_xtts_says_what_an_unconverted_folder_would_execute(tmp_path: Path) -> None:
    asked = (
        b"\x80\x02cTTS.tts.configs.xtts_config\nXttsConfig\n)\x81."  # protocol 2, as torch writes
    )
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("model/data.pkl", asked)
    with pytest.raises(FileNotFoundError) as refusal:
        load_xtts(tmp_path)
    assert "TTS.tts.configs.xtts_config.XttsConfig" in str(refusal.value)
    assert str(refusal.value).endswith(f'xcompat convert "{tmp_path}"')
