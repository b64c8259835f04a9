"""Each judge rejects what it exists to reject and passes speech.

numpy makes the wrong sounds; espeak-ng, where it is installed, makes the speech. Elsewhere
`test_speech_like_sound_passes` stands in.
"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from xcompat import judge
from xcompat.matrix.load import load_matrix
from xcompat.smoke.judge import (
    GOLDEN_TOKENS,
    LEFT_IN_STREAM,
    judge_heard,
    judge_intermediates,
    judge_sound,
    judge_spoken,
    judge_tokens,
)
from xcompat.smoke.request import DEFAULT_TEXT
from xcompat.smoke.voice import RECORDING
from xcompat.target.sound import (
    TOKEN_SECONDS,
    measure,
    mel_spectrogram,
    spoken_samples,
    write_wav,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

RATE = 24_000
SECONDS = 2
TOKENS = 43
"""Audio tokens of two seconds: 43 * 1024 / 22050 = 1.997 s."""
SENTENCE = "It took me quite a long time to develop a voice, and I am not going to be silent."
SPOKEN = {
    "en": SENTENCE,
    "es": "Buenos días, hoy llueve en las montañas.",
    "fr-fr": "Bonjour à tous, il pleut dans les montagnes.",
    "de": "Guten Morgen, heute regnet es in den Bergen.",
    "it": "Buongiorno a tutti, oggi piove in montagna.",
    "pt": "Bom dia a todos, hoje chove nas montanhas.",
    "pl": "Dzień dobry, dzisiaj w górach pada deszcz.",
    "tr": "Herkese günaydın, bugün dağlarda yağmur yağıyor.",  # noqa: RUF001
    "ru": "Доброе утро, сегодня в горах идёт дождь.",  # noqa: RUF001
    "nl": "Goedemorgen, vandaag regent het in de bergen.",
    "cs": "Dobré ráno, dnes v horách prší.",
    "ar": "صباح الخير جميعا",
    "cmn": "早上好今天山里下雨",
    "hu": "Jó reggelt, ma a hegyekben esik az eső.",
    "ko": "안녕하세요 여러분",
    "ja": "おはようございます",
    "hi": "नमस्ते दुनिया, आज बारिश हो रही है",
    "en+f3": SENTENCE,
    "en+whisper": SENTENCE,
    "en+croak": SENTENCE,
}
"""espeak-ng voice to text: the 17 languages of XTTS, and three unusual voices."""
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng makes speech")


def spoken() -> Any:
    """Return as many samples as TTS makes of the tokens."""
    return noise()[: spoken_samples(TOKENS, RATE)]


def noise(level: float = 0.2) -> Any:
    return np.random.default_rng(7).normal(0.0, level, RATE * SECONDS)


def speech_like(seconds: float = 4.0) -> Any:
    """Return syllables of a gliding voice, 4 in a second, with formants, pauses and an end."""
    time = np.arange(int(RATE * seconds)) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    vowel = 500 + 300 * np.sin(2 * np.pi * 1.3 * time)
    voice = sum(
        np.sin(n * phase) * (1 / n + np.exp(-(((n * pitch - vowel) / 150) ** 2)))
        for n in range(1, 40)
    )
    syllables = np.maximum(np.sin(2 * np.pi * 4 * time), 0.0) ** 0.7
    ending = np.minimum(1.0, (seconds - time) / 0.2)
    return 0.1 * voice * syllables * ending + noise(1e-4)[: time.size // 2].repeat(2)[: time.size]


def espeak(voice: str, text: str, speed: int = 160) -> tuple[Any, int]:
    done = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text],
        capture_output=True,
        check=True,
    )
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate = file.getframerate()
        # A pipe's header cannot say how many frames follow.
        return np.frombuffer(file.readframes(1 << 30), "<i2") / 32768, rate


def shuffled(samples: Any, block: int) -> Any:
    blocks = samples[: samples.size // block * block].reshape(-1, block)
    return np.random.default_rng(5).permutation(blocks).ravel()


def failed(samples: Any, rate: int = RATE, **known: Any) -> list[str]:
    return [j.name for j in judge_sound(measure(samples, rate), **known) if not j.passed]


def test_an_untrained_voice_may_be_noise() -> None:
    assert failed(spoken(), audio_tokens=TOKENS) == []


def test_speech_like_sound_passes() -> None:
    assert failed(speech_like(), speech=True, text="A sentence of about four seconds.") == []


def quick(values: Iterable[Any], kept: Collection[Any]) -> list[Any]:
    """Leave all but the `kept` values to `nox -s listen`."""
    marks = pytest.mark.speech
    return [value if value in kept else pytest.param(value, marks=marks) for value in values]


@needs_espeak
@pytest.mark.parametrize("speed", quick([110, 220], [220]))
@pytest.mark.parametrize("voice", quick(SPOKEN, ["en", "ko", "en+whisper"]))
def test_real_speech_passes(voice: str, speed: int) -> None:
    samples, rate = espeak(voice, SPOKEN[voice], speed)
    assert failed(samples, rate, speech=True, text=SPOKEN[voice]) == []


def test_nan_is_heard() -> None:
    samples = noise()
    samples[1000] = math.nan
    assert failed(samples) == ["finite"]


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_is_heard(level: float) -> None:
    assert "not silent" in failed(noise(level))


def test_a_constant_offset_is_silence() -> None:
    assert "not silent" in failed(np.full(RATE, 0.5))


def test_clipping_is_heard() -> None:
    assert failed(np.clip(noise(1.0), -1.0, 1.0)) == ["not clipped"]


def test_a_tone_is_heard() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert failed(tone) == ["not a tone"]


def test_a_buzz_is_no_speech() -> None:
    # Overtones share the energy, so it is no tone; its level gives it away.
    buzz = sum(np.sin(2 * np.pi * 150 * n * np.arange(RATE) / RATE) / n for n in range(1, 20))
    assert "not a tone" not in failed(0.2 * buzz)
    assert "louder and softer" in failed(0.2 * buzz, speech=True)


def test_noise_is_no_speech() -> None:
    assert {"louder and softer", "not noise", "flows"} <= set(failed(noise(), speech=True))


def test_noise_that_swells_like_speech_is_no_speech() -> None:
    samples = speech_like()
    swelling = np.random.default_rng(3).normal(0.0, 1.0, samples.size) * np.abs(samples)
    assert failed(swelling, speech=True) == ["not noise"]


@pytest.mark.parametrize("block", quick([1, 64, 256, 480], [480]))
def test_a_shuffled_vocoder_is_heard(block: int) -> None:
    assert "flows" in failed(shuffled(speech_like(), block), speech=True)


@needs_espeak
@pytest.mark.parametrize("block", quick([1, 480, 1024], [1024]))
def test_speech_from_shuffled_tokens_is_heard(block: int) -> None:
    """Blocks up to one audio token: 1024 samples at the 22,050 Hz of espeak-ng."""
    samples, rate = espeak("en", SENTENCE)
    assert "flows" in failed(shuffled(samples, block), rate, speech=True)


@needs_espeak
@pytest.mark.parametrize("share", quick([0.2, 0.3, 0.4, 0.5], [0.5]))
def test_half_a_sentence_is_too_short(share: float) -> None:
    samples, rate = espeak("en", SENTENCE, 175)
    part = samples[: int(samples.size * share)]
    assert "length fits the text" in failed(part, rate, speech=True, text=SENTENCE)


def test_a_sentence_cut_in_a_vowel_is_heard() -> None:
    text = "A sentence of four seconds."
    samples = speech_like()
    whole, cut = samples, samples[: int(3.06 * RATE)]  # 60 ms into a syllable
    assert failed(whole, speech=True, text=text) == []
    assert failed(cut, speech=True, text=text) == ["not cut off"]


def test_length_must_follow_the_tokens() -> None:
    assert failed(spoken(), audio_tokens=TOKENS + 1) == ["length follows the tokens"]
    assert failed(spoken()[:-1], audio_tokens=TOKENS) == ["length follows the tokens"]


def test_a_stream_keeps_its_last_overlap_or_loses_nothing() -> None:
    lost = ["length follows the tokens"]
    for left, said in [(0, []), (LEFT_IN_STREAM, []), (240, lost), (LEFT_IN_STREAM + 240, lost)]:
        heard = {"sound": measure(spoken()[left:], RATE), "audio_tokens": TOKENS}
        judged = judge_spoken("stream", heard, speech=False)
        assert [j.name for j in judged if not j.passed] == said
    cut = {"sound": measure(spoken()[LEFT_IN_STREAM:], RATE), "audio_tokens": TOKENS}
    assert not all(j.passed for j in judge_spoken("speak", cut, speech=False))


@pytest.mark.parametrize(("distance", "right"), [(1e-6, True), (0.05, False)])
def test_the_vocoder_must_be_given_the_latents_of_the_tokens(
    distance: float, *, right: bool
) -> None:
    heard = {"sound": measure(spoken(), RATE), "audio_tokens": TOKENS}
    (judged,) = [
        j
        for j in judge_spoken("speak", {**heard, "latents_distance": distance}, speech=False)
        if j.name == "right latents"
    ]
    assert judged.passed is right


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "Short."), (0.05, "Short."), (1.0, SENTENCE), (0.5, "早上好今天山里下雨今天山里下雨")],
)
def test_length_must_fit_the_text(seconds: float, text: str) -> None:
    samples = np.resize(noise(), int(RATE * seconds))
    assert "length fits the text" in failed(samples, text=text)


def test_no_sound_at_all_is_silence() -> None:
    assert failed(np.zeros(0)) == ["not silent"]
    assert "louder and softer" in failed(np.zeros(0), speech=True)


TOLD = {
    "voices": 2,
    "sequences": 4,
    "tokens": 140,
    "margin": 0.01,
    "sha256": GOLDEN_TOKENS["voice"],
}
HEARD = {
    "understood": True,
    "choices": 10,
    "heard": SENTENCE,
    "words": 18,
    "mistakes": 1,
    "transcript": "it took me quite a long time to develop voice",
}


def test_the_golden_tokens_are_those_that_runs_recorded() -> None:
    spoke = [run for run in load_matrix().runs if run.tokens]
    assert spoke
    assert all(run.tokens == GOLDEN_TOKENS[run.model] for run in spoke)


@pytest.mark.parametrize(
    ("tokens", "passed"),
    [
        (TOLD, True),
        ({**TOLD, "sha256": "0" * 64}, False),
        ({**TOLD, "sha256": "0" * 64, "margin": -1e-4}, True),  # a tie, decided by rounding
    ],
)
def test_the_built_in_model_must_give_its_own_tokens(
    tokens: dict[str, Any],
    passed: bool,  # noqa: FBT001
) -> None:
    voice, golden = judge_tokens(tokens, model="voice")
    assert (voice.passed, golden.name, golden.passed) == (True, "golden tokens", passed)
    assert len(judge_tokens(tokens, model="")) == 1


def test_what_is_written_down_is_judged_of_the_voice_that_ships_alone() -> None:
    understood, written = judge_heard(HEARD, model="voice")
    assert understood.passed
    assert written.passed
    assert "1 of 18 words" in written.detail
    assert len(judge_heard(HEARD, model="")) == 1


def test_too_many_words_mistaken_fail() -> None:
    told = {**HEARD, "mistakes": 14, "transcript": "no"}
    assert [j.passed for j in judge_heard(told, model="voice")] == [True, False]


def test_a_step_far_from_the_cpu_fails_and_is_named() -> None:
    steps = {
        "first logits": {"error": 1e-4, "finite": True},
        "forced latents": {"error": 0.02, "finite": True},
        "vocoder": {"error": 0.02, "finite": True},
    }
    judged = {j.name: j for j in judge_intermediates(steps)}
    assert judged["as on the CPU: first logits"].passed
    assert not judged["as on the CPU: forced latents"].passed
    assert "2.0e-02 (at most 0.01)" in judged["as on the CPU: forced latents"].detail
    assert judged["as on the CPU: vocoder"].passed
    assert judge_intermediates({}) == ()


def test_a_step_with_nan_fails() -> None:
    (judged,) = judge_intermediates({"vocoder": {"error": 1.0, "finite": False}})
    assert (judged.passed, judged.detail) == (False, "holds NaN or infinity")


def test_the_picture_has_a_tone_where_it_is() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    levels = mel_spectrogram(tone, RATE)
    assert levels.shape[0] == 80
    assert levels.max() == 0.0
    assert levels.min() == -80.0
    # 1000 Hz are 1000 mel of the 3266 that 12 kHz are.
    assert abs(int(levels[:, 20].argmax()) - 80 * 1000 / 3266) <= 1


@needs_espeak
def test_audio_tokens_in_any_order_are_heard() -> None:
    samples, rate = espeak("en", SENTENCE, 220)
    whole = measure(samples, rate)["rhythm"]
    assert whole < 2
    assert "no jumps between tokens" in failed(
        shuffled(samples, int(TOKEN_SECONDS * rate)), rate, speech=True
    )


ABOUT_FOUR_SECONDS = "A sentence of which nobody knows what it says, for about four seconds."


def told(wav: Any, text: str = ABOUT_FOUR_SECONDS, **options: Any) -> list[str]:
    return [each.name for each in judge(wav, text, **{"listen": False, **options}).failed]


def test_an_app_is_told_of_samples_and_of_files(tmp_path: Path) -> None:
    samples = speech_like()
    write_wav(tmp_path / "mono.wav", samples, RATE)
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
        file.writeframes(np.stack([pcm, pcm], axis=1).tobytes())
    for wav in (samples, tmp_path / "mono.wav", str(tmp_path / "stereo.wav")):
        heard = judge(wav, ABOUT_FOUR_SECONDS, listen=False)
        assert (heard.passed, heard.failed, heard.not_listened) == (True, (), "not asked for")
        assert heard.seconds == pytest.approx(samples.size / RATE)


def test_an_app_can_read_files_of_floats(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "float.wav", speech_like(), RATE, subtype="FLOAT")
    assert told(tmp_path / "float.wav") == []


def test_an_app_is_told_what_is_wrong(tmp_path: Path) -> None:
    assert "not noise" in told(noise())
    assert "not silent" in told(np.zeros(RATE))
    babble = np.concatenate([speech_like()] * 4)
    assert told(babble, "Yes.") == ["length fits the text", "nothing after the text"]
    assert "length fits the text" in told(speech_like(), "word " * 60)
    assert "flows" in told(shuffled(speech_like(), 120))
    with pytest.raises(ValueError, match="no text"):
        judge(speech_like(), " ")
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"no\.wav cannot be read as a sound"):
        judge(tmp_path / "no.wav", "Yes.")


def test_a_recogniser_listens_where_it_can() -> None:
    pytest.importorskip("pocketsphinx")
    heard = judge(speech_like(), "The doctor told him to drink more water.")
    assert [each.name for each in heard.failed] == ["understood"]
    assert judge(speech_like(), "Guten Morgen.", language="de").not_listened.endswith("only")
    assert "xyzzy" in judge(speech_like(), "It is xyzzy today.").not_listened


def test_a_recogniser_tells_where_the_words_of_the_voice_that_ships_lie(tmp_path: Path) -> None:
    """The cut is in "long time"."""
    pytest.importorskip("pocketsphinx")
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(RECORDING)
    cut = samples[: int(1.2 * rate)]
    write_wav(tmp_path / "more.wav", np.concatenate([samples, samples[-rate:][::-1]]), rate)
    write_wav(tmp_path / "cut.wav", cut, rate)
    more = judge(tmp_path / "more.wav", DEFAULT_TEXT)
    assert [each.what for each in more.extra] == ["speech"]
    assert more.ends == pytest.approx(samples.size / rate, abs=0.3)
    assert not more.missing
    early = judge(tmp_path / "cut.wav", DEFAULT_TEXT)
    assert early.missing.endswith("to develop a voice and now i am not going to be silent")
    assert "said to its end" in [each.name for each in early.failed]
