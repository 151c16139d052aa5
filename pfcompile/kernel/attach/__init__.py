"""Filters attached where packets pass: at XDP, tc, cgroups and sockets.

::

    with attach(Xdp("eth0"), pfcompile.compile("udp port 53"), Action.DROP) as session:
        session.counters()

    rows         the kinds of places: what is found there, what is returned
    places       which interface, cgroup or socket
    sockets      filters on sockets, which go with their owner
    program      the program around the filter: counts, reports, acts
    writing      what its parts have in common
    addresses    its part that looks addresses up
    reporting    its part that reports packets, and who reads them
    counting     its counters
    sources      its counters by source
    prefixes     addresses and networks as text and as keys
    sets         sets of them, which change while it runs
    description  what it says of itself
    sessions     all of it together
    pins         where it stays when its process ends
    find         what is attached in the system
    needs        what the kernel must have
"""

from __future__ import annotations

from pfcompile.kernel.attach.addresses import SetRule, Side
from pfcompile.kernel.attach.counting import Counters
from pfcompile.kernel.attach.description import Description
from pfcompile.kernel.attach.find import Found, attachments, find_attachment, open_attachment
from pfcompile.kernel.attach.places import Cgroup, Place, ProcessSocket, Socket, Tc, Xdp
from pfcompile.kernel.attach.prefixes import Prefixes
from pfcompile.kernel.attach.program import Action
from pfcompile.kernel.attach.reporting import Report, ReportedPacket, Reports
from pfcompile.kernel.attach.rows import Direction, Kind
from pfcompile.kernel.attach.sessions import Attachment, Filter, attach
from pfcompile.kernel.attach.sets import AddressSet, WantedSet
from pfcompile.kernel.attach.sources import SourceCount

__all__ = [
    "Action",
    "AddressSet",
    "Attachment",
    "Cgroup",
    "Counters",
    "Description",
    "Direction",
    "Filter",
    "Found",
    "Kind",
    "Place",
    "Prefixes",
    "ProcessSocket",
    "Report",
    "ReportedPacket",
    "Reports",
    "SetRule",
    "Side",
    "Socket",
    "SourceCount",
    "Tc",
    "WantedSet",
    "Xdp",
    "attach",
    "attachments",
    "find_attachment",
    "open_attachment",
]
