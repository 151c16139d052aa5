"""Names are looked up by who asks, once, and the answers go along with the tasks."""

from __future__ import annotations

import pickle

import pytest

import pfcompile
from pfcompile.distributed import filter as filter_distributed
from pfcompile.distributed.names import Remembering
from pfcompile.names.answers import Host
from pfcompile.names.resolvers import NoNames, StaticResolver, SystemResolver
from tests.many_machines.agreement import ETHERNET, PCAPS

pytestmark = pytest.mark.filterwarnings("error")


class Counting(StaticResolver):
    """Knows a host, and counts how often it is asked."""

    def __init__(self):
        super().__init__(hosts={"there": Host.of(["10.0.0.1"])})
        self.asked = 0

    def host(self, name):
        self.asked += 1
        return super().host(name)


def test_names_are_looked_up_here(client, out):
    resolver = Counting()
    sources = [ETHERNET, PCAPS / "ipv4.pcap"]
    result = filter_distributed(sources, "src host there", client=client, resolver=resolver)
    assert [each.matched for each in result.files] == [
        pfcompile.filter_file(each, out / "x", "src host 10.0.0.1").matched for each in sources
    ]
    assert resolver.asked == 1


def test_a_copy_knows_the_answers():
    resolver = Remembering(Counting())
    assert resolver.host("there") == Host.of(["10.0.0.1"])
    assert resolver.host("nowhere") is None
    assert resolver.network("nowhere") is None
    assert resolver.service("http").tcp == 80
    assert resolver.protocol("tcp") == 6
    assert resolver.ethernet("nobody") is None
    copy = pickle.loads(pickle.dumps(resolver))  # noqa: S301
    asked = copy._resolver.asked
    assert copy.host("there") == resolver.host("there")
    assert copy.host("nowhere") is None
    assert copy._resolver.asked == asked


def test_what_cannot_go_along_stays_here():
    slow = Remembering(SystemResolver(on_slow=print))
    assert isinstance(pickle.loads(pickle.dumps(slow))._resolver, SystemResolver)  # noqa: S301
    names = pickle.loads(pickle.dumps(Remembering(NoNames())))  # noqa: S301
    assert isinstance(names._resolver, NoNames)
