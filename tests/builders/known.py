"""What comes with xcompat, read once for many commands in one process: nothing can change it."""

from functools import cache

from xcompat.matrix.load import load_matrix

READ_ONCE = cache(load_matrix)
