"""The program: `xcompat`, or `python -m xcompat`."""

import atexit
import gc

# A process this short makes no garbage to speak of. Looking for it is a tenth of the start, and as
# much again at the end, where Python does so unless nothing is left to look at.
gc.disable()
atexit.register(gc.freeze)

from xcompat.cli import main  # noqa: E402 - imports make much that is not garbage

if __name__ == "__main__":
    main()
