"""What `pfcompile capture` is made of.

::

    sources    an interface with its ring, its filter and what makes records of its packets
    rotation   when a file is full, and what the next one is called
    files      the files that are written; lines on a terminal instead
    loop       moves packets from the sources to a file
    control    signals, and what is told meanwhile and at the end
    workers    several loops that share the packets
"""
