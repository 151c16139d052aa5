"""Classic filters inside the loop that walks the records of a capture, as native code.

::

    scans      filters for whole captures: what others use
    scanner    filters ready to scan blocks of memory
    walk       all of it put together, as a module in LLVM's language
    loop       the loop, and the numbers that go from record to record
    records    what a record is: its checks, and where its packet lies
    notes      what is taken down of each record: sums, times, copies, rows
    filter     a filter's instructions, one after the other
    flows      how control passes between them: as branches, or as conditions
    counted    a graph instead of a program, with counters of the ways that packets take
    sets       long lists of numbers in a program
    tables     look-ups that take their place: which kind for which set, and where they lie
    compared   the kinds that compare a number with several at once: rows, hashes
    indexed    the kinds that take it for a place: bitmaps, tables by the number
    ranked     the kinds that count in a tree what is below it: ranges
    text       lines of LLVM's language under way
    machine    LLVM's passes and code generator, set for short compile times
    cache      machine code kept from one process to the next
"""

from pfcompile.jit.scan.scanner import Scan, Scanner
from pfcompile.jit.scan.scans import CaptureScans, Scanners

__all__ = ["CaptureScans", "Scan", "Scanner", "Scanners"]
