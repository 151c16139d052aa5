"""`python -m pfcompile` is the command `pfcompile`."""

from pfcompile.cli import main

main()
