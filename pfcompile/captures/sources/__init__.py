"""Where captures are read from, and how.

::

    inputs        opens a path, standard input, a stream or a URL
    remote        what is not on this machine
    streams       decompresses a stream where its first bytes ask for it
    compression   what each compression begins with; decompressed: a stream read as what it was
    window        big pieces, the unread tail carried along, never a seek
"""
