"""The page of `pfcompile serve`: an expression's way to its programs, to be looked at in a browser.

::

    asked       an expression as it is asked about, and compiled
    spans       places in it, counted as browsers count
    trees       its tree, as rows
    drawing     graphs, as places on a sheet
    analysis    all that becomes of it, or what is wrong with it
    meaning     what it means in words, and warnings
    comparison  how two are related, and packets that tell them apart
    packets     what it does with the packets of a capture
    course      what happens to one of them
    work        the above as JSON: what workers are asked for
    workers     processes that do it, and are ended when it takes too long
    uploads     the captures that were handed over
    guard       who may ask: Host, Origin, token, sizes; and the headers of every answer
    app         what is asked for, by path
    serving     the socket, and the server's start and end
    report      the same page as one file that needs no server
    static/     what the browser gets: HTML, CSS and modules as they are, with no build step

What the browser gets holds no text of anybody's: all of it comes as JSON, and goes into the page as
text nodes, so that nothing that a capture or an expression says can become markup.
"""
