"""Code that runs inside the environment under test, in somebody else's interpreter.

Stand-alone: Python 3.9 or newer, the standard library at import time; torch and TTS are imported
inside functions. Started as `python -I .../target/__main__.py COMMAND`, never by importing xcompat.
"""
