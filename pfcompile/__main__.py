"""`python -m pfcompile` is the command `pfcompile`."""

from pfcompile.cli import main

if __name__ == "__main__":  # worker processes load this module, too, under another name
    main()
