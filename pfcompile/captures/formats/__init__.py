"""How captures are written: what walks a file's records, and what makes new ones.

::

    records       what the walkers yield: packets, and the structure around them
    pcap          the classic file: a header, then a record a packet
    pcapng        blocks, in sections; description: those that tell of a live capture
    limits        how long a packet can be
    layouts       what code that scans whole blocks needs to know of a file
"""
