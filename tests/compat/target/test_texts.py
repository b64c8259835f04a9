"""Long texts: where they are split, and which calls of the stock methods say them."""

import inspect
import pickle
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcompat.target.texts import TextTooLongError, help_with_long_texts, split_text

LONG = "One is here. Two is there! Is three anywhere? Four, five and six are not."


def without_blanks(text):
    return "".join(text.split())


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("Short.", 250, ["Short."]),
        ("", 250, [""]),
        (
            LONG,
            30,
            ["One is here. Two is there!", "Is three anywhere?", "Four, five and six are not."],
        ),
        ('He said "No." Then he left.', 15, ['He said "No."', "Then he left."]),
        (
            "今日は良い天気です。明日は雨でしょう。傘を持って。",
            12,
            ["今日は良い天気です。", "明日は雨でしょう。", "傘を持って。"],
        ),
        ("It costs 3.50 in all. Yes.", 22, ["It costs 3.50 in all.", "Yes."]),
        ("a" * 25, 10, ["a" * 6, "a" * 6, "a" * 6, "a" * 7]),
        ("Line one\nline two", 10, ["Line one", "line two"]),
    ],
)
def test_where_it_is_split(text, limit, pieces):
    assert split_text(text, limit) == pieces


@given(st.text(st.sampled_from("ab .,!?。、\n\"'"), max_size=300), st.integers(1, 60))
def test_nothing_but_blanks_is_lost_and_no_piece_is_too_long(text, limit):
    pieces = split_text(text, limit)
    assert without_blanks("".join(pieces)) == without_blanks(text)
    assert all(len(piece) <= limit for piece in pieces)
    assert not text.strip() or all(pieces)


def test_a_book_takes_no_time():
    pieces = split_text("This is a sentence of a book. " * 50_000, 250)
    assert all(200 < len(piece) <= 250 for piece in pieces[:-1])


def test_tokens_count_as_well():
    pieces = split_text(LONG, 250, lambda piece: piece.count(" ") < 3)
    assert all(piece.count(" ") < 3 for piece in pieces)
    assert without_blanks("".join(pieces)) == without_blanks(LONG)


class Tokenizer:
    def __init__(self):
        self.char_limits = {"en": 30}

    def encode(self, text, lang):
        return list(text)


class Xtts:
    """The two methods as TTS has them: text and language first, splitting among the options."""

    def __init__(self):
        self.tokenizer = Tokenizer()
        self.args = types.SimpleNamespace(gpt_max_text_tokens=61)
        self.said = []

    def inference(  # noqa: PLR0917 - as TTS has it
        self, text, language, gpt_cond_latent, speaker_embedding,
        temperature=0.75, enable_text_splitting=False, **hf_generate_kwargs,  # noqa: FBT002
    ):  # fmt: skip
        self.said.append((text, language, temperature, enable_text_splitting, hf_generate_kwargs))
        latents = np.full((1, len(text), 2), 1.0)
        return {"wav": np.zeros(len(text)), "gpt_latents": latents, "speaker_embedding": "voice"}

    def inference_stream(  # noqa: PLR0917 - as TTS has it
        self, text, language, gpt_cond_latent, speaker_embedding,
        stream_chunk_size=20, enable_text_splitting=False,  # noqa: FBT002
    ):  # fmt: skip
        self.said.append((text, language, enable_text_splitting))
        yield from text.split()


@pytest.fixture
def model(monkeypatch):
    """A model whose TTS has no spaCy."""

    def no_spacy(text, lang, limit):
        if len(text) >= limit:
            raise ImportError("enable_text_splitting=True requires Spacy: pip install spacy[ja]")
        return [text]

    monkeypatch.setattr(sys.modules[__name__], "split_sentence", no_spacy, raising=False)
    made = Xtts()
    help_with_long_texts(made)
    return made


def test_a_long_text_is_said_piece_by_piece(model):
    out = model.inference(
        LONG, "en-us", "l", "s", temperature=0.5, enable_text_splitting=True, top_z=1
    )
    pieces = split_text(LONG, 30)
    assert model.said == [(piece, "en-us", 0.5, False, {"top_z": 1}) for piece in pieces]
    spoken = sum(map(len, pieces))
    assert out["wav"].shape == (spoken,)
    assert out["gpt_latents"].shape == (1, spoken, 2)
    assert out["speaker_embedding"] == "voice"


def test_a_stream_goes_on_from_piece_to_piece(model):
    stream = model.inference_stream(LONG, "en", "l", "s", enable_text_splitting=True)
    assert next(stream) == "One"
    assert [text for text, *_ in model.said] == split_text(LONG, 30)[:1]
    assert ["One", *stream] == LONG.split()


def test_what_tts_can_do_is_left_to_it(model, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "split_sentence", lambda *_: ["any"])
    model.inference(LONG, "en", "l", "s", enable_text_splitting=True)
    model.inference(text="Short.", language="en", gpt_cond_latent="l", speaker_embedding="s")
    assert [(text, asked) for text, _, _, asked, _ in model.said] == [
        (LONG, True),
        ("Short.", False),
    ]


def test_too_many_tokens_are_told_before_anything_is_said(model):
    with pytest.raises(
        TextTooLongError, match=r"72 tokens, and XTTS takes 60 at once.*enable_text_spl"
    ):
        model.inference(LONG[:72], "en", "l", "s")
    with pytest.raises(TextTooLongError):
        model.inference_stream(LONG, "en", "l", "s")
    assert model.said == []


def test_the_methods_look_as_before_and_travel(model):
    for name in ("inference", "inference_stream"):
        helped, stock = getattr(model, name), getattr(Xtts(), name)
        assert inspect.signature(helped) == inspect.signature(stock)
        assert helped.__name__ == name
    again = pickle.loads(pickle.dumps(model))
    again.inference(LONG, "en", "l", "s", enable_text_splitting=True)
    assert len(again.said) == len(split_text(LONG, 30))
    assert model.said == []


def test_a_tts_without_splitting_stays_as_it_is():
    class Old:
        def inference(self, text, language): ...

        def inference_stream(self, text, language): ...

    model = Old()
    help_with_long_texts(model)
    assert vars(model) == {}
