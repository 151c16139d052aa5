"""Captures: pcap and pcapng files, read and written as streams.

::

    a path, standard input, a stream, a URL or a folder
       │  folders     the captures that a folder or a pattern stands for
       │  sources     opens each, undoes its compression, and reads it in pieces
       │  formats     walks the records of a pcap file, and the blocks of a pcapng file
       │  reader      picks the walker by the magic number
       │  blocks      the same with what filters whole blocks of memory at once, in several threads
       ├─ filtering   which packets match; knows nothing of formats
       │  extents     how much there is of each interface
       │  writer      the same bytes again, or the other format
       │  output      whole records only, whatever happens
       └─ summary     one line a packet, for people
"""
