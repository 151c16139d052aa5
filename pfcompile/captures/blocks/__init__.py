"""Captures filtered by what scans whole blocks of memory at once, such as native code (`jit.scan`).

::

    scans         what such a thing is asked for, and tells
    block         the part of a file that is in memory
    native        walks blocks, and what lies between them
    walking       walks a source this way, or as `reader` does
    parallel      several threads, the outcome in order
    tasks         what they do ahead
    parts         a large file in parts; cutting: where one may start
    rows          single packets as numbers; arrays: as NumPy has them
"""
