"""A classic filter inside the loop that walks the records of a pcap file, as native code.

::

    scanner    one filter ready to scan blocks of memory: what others use
    records    how a pcap file's records are laid out
    walk       the loop over the records, and what it notes of those that match
    filter     the filter's instructions, one after the other
    flows      how control passes between them: as branches, or as conditions
    text       lines of LLVM's language under way
    gather     runs of records put one behind the other
    machine    LLVM's passes and code generator, set for short compile times
"""

from pfcompile.jit.scan.records import Layout
from pfcompile.jit.scan.scanner import Scanner

__all__ = ["Layout", "Scanner"]
