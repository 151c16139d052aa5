"""Maps: what programs remember between packets, and share with whoever started them.

::

    vocabulary   kinds, flags, and what every map does
    array        arrays
    hashed       hash tables, and those that drop the longest unused
    lpm_trie     networks, by the longest prefix
    rings        ring buffers and perf event arrays
    programs     program arrays, for tail calls
    kinds        the kinds as rows; `create`
"""
