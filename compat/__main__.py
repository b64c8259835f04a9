"""`python -m xcompat`."""

from xcompat.cli import main

main()
