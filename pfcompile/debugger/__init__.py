"""A program run step by step, forwards and backwards, on the packets of a capture.

::

    mistakes     what the user gets wrong
    machines     what the debugger asks of a program, of either kind, and of a run of it
    classic      classic programs, stepped by their own interpreter
    extended     extended programs, stepped by their own machine, and their maps
    packets      the packets of a capture by number, as many in memory as is reasonable
    expressions  what is printed, watched and waited for: `A == 0x800 && pkt[23] == 6`
    breakpoints  where runs stop
    terms        parts of the expression as places in its program
    course       what maps hold when a packet comes
    stops        what there is to see where a run has stopped
    session      all of it together: `step`, `back`, `resume`, `select`; no terminal anywhere
    changes      what is different between two stops
    text         programs, registers, packets and stops as lines of text
    arguments    numbers and words of commands
    places       where breakpoints are: instructions by number, terms
    commands     the command language: a line in, lines of text out
    prompt       commands from a script, a pipe or a plain prompt
    panes        what the full-screen program shows
    screen       the full-screen program (textual, the extra `debugger`)

Where a run is, is its packet's number and how many of its instructions were run. A program does
the same again on the same packet, so going back is running again, from the packet's first
instruction to one fewer: nothing is kept for it, and it goes back as far as a run can be long (1
million instructions, which take a second). For that, what an extended program finds in its maps at
a packet's start is put back first, its clock is the packet's time, and its random numbers come from
the packet's number.
"""
