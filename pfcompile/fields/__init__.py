"""What packet bytes are called: `ip.proto`, `tcp.dstport`, by where they are read in a graph."""

from pfcompile.fields.description import describe

__all__ = ["describe"]
