"""Captures: pcap and pcapng files, read and written as streams.

::

    a path, standard input, a stream, a URL or a folder
       │  folders     the captures that a folder or a pattern stands for
       │  inputs      opens a source; compression, decompressed, streams, remote: what that takes
       │  window     big blocks, the unread tail carried along, never a seek
       │  pcap       walks the records of a classic file
       │  native     the same with what filters whole blocks at once
       │  pcapng     walks the blocks of a pcapng file
       │  records    what the walkers yield: packets, and the structure around them
       │  reader     picks the walker by the magic number
       ├─ filtering  which packets match; knows nothing of formats
       │  writer     the same bytes again, or the other format
       │  output     whole records only, whatever happens
       └─ summary    one line a packet, for people
"""
