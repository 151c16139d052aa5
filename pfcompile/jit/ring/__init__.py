"""Packets of a ring (`kernel.ring`) made into records of a capture file, as native code.

::

    copier   makes records of a block's packets
    walk     the loop over them, as a module in LLVM's language
    mover    moves blocks into a file as they come, and waits
    moving   the loop over the blocks, as a module in LLVM's language
    filter   a filter that the kernel could not run, over packets with their metadata before them
"""

from pfcompile.jit.ring.copier import NativeCopier
from pfcompile.jit.ring.mover import NativeMover

__all__ = ["NativeCopier", "NativeMover"]
