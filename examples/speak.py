"""An app that speaks through TTS.api, with the two lines that make it work on any transformers.

xcompat convert path/to/XTTS-v2 -o XTTS-v2-converted --format both
python examples/speak.py XTTS-v2-converted "It speaks." out.wav
"""

from __future__ import annotations

import sys

import xcompat

folder, text, wav = sys.argv[1:]

with xcompat.importing_tts():  # added: TTS imports whatever transformers is installed
    from TTS.api import TTS

    tts = TTS(model_path=folder, config_path=f"{folder}/config.json", progress_bar=False)
xcompat.attach(tts)  # added: this model speaks through xcompat

speaker = next(iter(tts.synthesizer.tts_model.speaker_manager.speakers))  # .speakers fails in 0.22
tts.tts_to_file(text, speaker=speaker, language="en", file_path=wav)
