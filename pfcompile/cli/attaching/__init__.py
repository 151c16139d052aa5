"""What the commands of `pfcompile attach` share.

::

    filters  the options that a filter's meaning hangs on, and its compiling
    words    counts and places, for people
    running  an attachment while the command runs: signals, counts
"""
