"""Packets of a ring (`kernel.ring`) made into records of a capture file, as native code.

::

    copier   makes records; what others use
    walk     the loop over a block's packets, as a module in LLVM's language
    filter   a filter that the kernel could not run, over packets with their metadata before them
"""

from pfcompile.jit.ring.copier import NativeCopier

__all__ = ["NativeCopier"]
