"""Captures: pcap and pcapng files, read and written as streams.

::

    a path, standard input, a stream, a URL or a folder
       │  folders     the captures that a folder or a pattern stands for
       │  inputs      opens a source; compression, decompressed, streams, remote: what that takes
       │  window      big blocks, the unread tail carried along, never a seek
       │  pcap        walks the records of a classic file
       │  pcapng      walks the blocks of a pcapng file
       │  records     what the walkers yield: packets, and the structure around them
       │  reader      picks the walker by the magic number
       ├─ filtering   which packets match; knows nothing of formats
       │  extents     how much there is of each interface
       │  writer      the same bytes again, or the other format
       │  output      whole records only, whatever happens
       └─ summary     one line a packet, for people

    the same with what filters whole blocks of memory at once
       │  scans       what such a thing is asked for, and tells
       │  layouts     what it needs to know of a file
       │  block       the part of a file that is in memory
       │  native      walks blocks, and what lies between them
       │  walking     walks a source one way or the other
       ├─ parallel    several threads, the outcome in order
       │  tasks       what they do ahead
       │  parts       a large file in parts; cutting: where one may start
       └─ rows        single packets as numbers; arrays: as NumPy has them
"""
