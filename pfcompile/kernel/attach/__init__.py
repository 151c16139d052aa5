"""Filters attached where packets pass: at XDP, tc, cgroups and sockets.

::

    with attach(Xdp("eth0"), pfcompile.compile("udp port 53"), Action.DROP) as session:
        session.counters()

    rows         the kinds of places: what is found there, what is returned
    places       which interface, cgroup or socket
    sockets      filters on sockets, which go with their owner
    program      the program around the filter: counts, reports, acts
    counting     its counters
    description  what it says of itself
    sessions     all of it together
"""

from __future__ import annotations

from pfcompile.kernel.attach.counting import Counters
from pfcompile.kernel.attach.description import Description
from pfcompile.kernel.attach.places import Cgroup, Place, ProcessSocket, Socket, Tc, Xdp
from pfcompile.kernel.attach.program import Action
from pfcompile.kernel.attach.rows import Direction, Kind
from pfcompile.kernel.attach.sessions import Attachment, Filter, attach

__all__ = [
    "Action",
    "Attachment",
    "Cgroup",
    "Counters",
    "Description",
    "Direction",
    "Filter",
    "Kind",
    "Place",
    "ProcessSocket",
    "Socket",
    "Tc",
    "Xdp",
    "attach",
]
