"""Where an error arose, as a pasted text shows it."""

import pytest

from xcompat.matrix.origin import Origin, Tail

APP = '  File "/app/lib/classes/tts_engines/coqui.py", line 775, in convert\n    text[-1]\n'
PYTHON = '  File "/usr/lib/python3.12/json/decoder.py", line 355, in raw_decode\n'
TORCH = '  File "/venv/lib/python3.11/site-packages/torch/nn/modules/module.py", line 9, in _call\n'
GRADIO = '  File "C:\\env\\Lib\\site-packages\\gradio\\blocks.py", line 1550, in process_api\n'
TTS = '  File "/srv/clone/TTS/tts/models/xtts.py", line 541, in inference\n'


def origin_of(*pieces):
    tail = Tail([])
    for piece in pieces:
        tail.listen(piece)
    return tail.origin()


@pytest.mark.parametrize(
    ("frames", "file", "line", "whose", "package"),
    [
        (APP, "/app/lib/classes/tts_engines/coqui.py", 775, "app", ""),
        (TTS + TORCH, "torch/nn/modules/module.py", 9, "stack", "torch"),
        (TORCH + TTS, "/srv/clone/TTS/tts/models/xtts.py", 541, "stack", "TTS"),
        (APP + GRADIO, "gradio/blocks.py", 1550, "package", "gradio"),
        # Python itself does as it is told: what called it is meant.
        (APP + PYTHON, "/app/lib/classes/tts_engines/coqui.py", 775, "app", ""),
        (APP + '  File "<frozen ntpath>", line 258, in splitext\n', "coqui.py", 775, "app", ""),
        (PYTHON, "/usr/lib/python3.12/json/decoder.py", 355, "app", ""),
    ],
)
def test_whose_error_it_is(frames, file, line, whose, package):
    text = f"Traceback (most recent call last):\n{frames}IndexError: string index out of range\n"
    origin = origin_of(text)
    assert origin == Origin(
        "IndexError: string index out of range", origin.file, line, whose, package
    )
    assert origin.file.endswith(file)


def test_of_errors_that_led_to_each_other_the_first():
    first = f"{APP}KeyError: 'speaker_embedding'\n"
    then = "\nDuring handling of the above exception, another exception occurred:\n\n"
    other = f"{GRADIO}ValueError: other\n"
    assert origin_of(first + then + other).error == "KeyError: 'speaker_embedding'"
    assert origin_of(other + first + then + other).error == "KeyError: 'speaker_embedding'"
    assert origin_of(first + other).error == "ValueError: other"


def test_a_log_that_comes_in_pieces_with_decoration():
    text = f"{APP}torch.cuda.OutOfMemoryError\n"
    decorated = "".join(f"app-1  | {line}\n" for line in text.splitlines())
    assert origin_of("noise\n" * 100_000, *decorated).error == "OutOfMemoryError"


def test_a_long_error_is_cut():
    assert origin_of(f"{APP}ValueError: {'x' * 900}\n").error == f"ValueError: {'x' * 188}..."


@pytest.mark.parametrize("text", ["", "ValueError: alone", APP, "INFO Killed"])
def test_what_shows_no_place_tells_none(text):
    assert origin_of(text) is None
