"""What the commands of `pfcompile attach` share.

::

    filters  the options that a filter's meaning hangs on, and its compiling
    extras   the options for reports, sets of addresses and counts by source
    sinks    where reported packets go
    words    counts and places, for people
    running  an attachment while the command runs: signals, counts, reports
    others   attachments that are there: listed, watched, replaced, taken off
"""
