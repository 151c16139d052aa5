"""One expression, compiled by us and by libpcap 1.10.6: do the programs mean the same?

Their meaning is what libpcap's *unoptimised* program does. Our unoptimised program is proved the
same as that one, with the rules of `known_differences` applied to it; our optimised program is
proved the same as our unoptimised one. Where the solver gives up, packets are tried that lead down
every branch.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.cbpf.check import check
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Instruction, Op, ancillary_word
from pfcompile.cbpf.listing import tcpdump
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.lower.context import DEFAULT_PROTOCHAIN_HEADERS
from pfcompile.prove import Different, Equal, Undecided, prove, satisfiable
from pfcompile.syntax.parser import parse
from tests.generator.packets import packets_for
from tests.known_differences import (
    AGEINGS,
    FAULTS,
    GUARDS,
    OFFSETS_FIRST,
    ONLY_NEWER,
    ONLY_OLDER,
    RUN_TIME_HEADERS,
    respelt,
    with_offsets_first,
)
from tests.oracles.libpcap import Refused
from tests.oracles.walk import End, walk
from tests.shared_captures import Captured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pfcompile.syntax import tree
    from tests.generator.links import Link
    from tests.oracles.libpcap import Libpcap

Program: TypeAlias = tuple[Instruction, ...]

NETMASK: Final = 0xFFFFFF00
SNAPLEN: Final = 262144
SAMPLES: Final = 2000
"""Packets tried where the solver gives up."""

PROOF_MS: Final = 1500

REJECTS_ALL: Final = "expression rejects all packets"


class Unexplained(Exception):  # noqa: N818 - what a comparison has found
    """The two differ, and no rule says why."""


@dataclass(slots=True)
class Comparison:
    """Compares expressions on one link type, and counts.

    Attributes:
        libpcap: The oracle.
        link: The link type.
        seed: For the packets.
        counts: How many comparisons went how.
    """

    libpcap: Libpcap
    link: Link
    seed: str
    counts: Counter[str] = field(default_factory=Counter)

    def compare(self, text: str) -> None:
        """Compare the programs for one expression.

        Raises:
            Unexplained: They differ; the message has all there is to know.
        """
        self.counts["compared"] += 1
        ours = self._ours(text, optimize=False)
        theirs = self._theirs(text, optimize=False)
        match ours, theirs:
            case str(), str():
                self.counts["refused alike"] += 1
            case str() as said, _:
                self._refused_by_one(text, ONLY_OLDER, f"we refuse: {said}", said)
            case _, str() as said:
                self._refused_by_one(text, ONLY_NEWER, f"libpcap refuses: {said}", said)
                assert not isinstance(ours, str)
                self._compare_optimised(text, ours, ours)
            case tuple() as our_program, tuple():
                self._compare_optimised(text, our_program, self._compare_plain(text, our_program))

    def _ours(self, text: str, *, optimize: bool) -> Program | str:
        try:
            program = compile_text(text, self.link.value, SNAPLEN, NETMASK, optimize).instructions
        except FilterError as error:
            return error.message
        check(program)
        return program

    def _theirs(self, text: str, *, optimize: bool) -> Program | str:
        try:
            return self.libpcap.compile(
                text, self.link.value, snaplen=SNAPLEN, optimize=optimize, netmask=NETMASK
            )
        except Refused as refused:
            return str(refused)

    def _refused_by_one(self, text: str, rules: Iterable, what: str, said: str) -> None:
        try:
            expression = parse(text)
        except FilterError:
            expression = None
        for rule in rules:
            if expression is not None and rule.applies(expression, self.link, said):
                self.counts[f"known: {rule.name}"] += 1
                return
        raise Unexplained(f"{text!r}\n{what}")

    def _compare_plain(self, text: str, ours: Program) -> Program:
        """Compare the unoptimised programs; return libpcap's, with the known differences."""
        expression = parse(text)
        assert expression is not None
        said, used = respelt(text, expression, self.link)
        try:
            theirs = self._compare_respelt(expression, text, said, ours)
        except Unexplained as found:
            theirs, name = self._compare_despite_faults(expression, text, said, ours, found)
            used.append(name)
        for name in used:
            self.counts[f"known: {name}"] += 1
        return theirs

    def _compare_despite_faults(
        self,
        expression: tree.Expression,
        text: str,
        said: str,
        ours: Program,
        found: Unexplained,
    ) -> tuple[Program, str]:
        """Try again with what is known to be wrong in the oracle; return also the rule's name."""
        if self.link.name in RUN_TIME_HEADERS:
            try:
                said = with_offsets_first(said)
                return self._compare_respelt(expression, text, said, ours), OFFSETS_FIRST
            except Unexplained:
                pass
        for fault in FAULTS:
            if fault.applies(expression, self.link):
                return ours, fault.name
        raise found

    def _compare_respelt(
        self, expression: tree.Expression, text: str, said: str, ours: Program
    ) -> Program:
        """Compare our program for `text` with libpcap's for `said`, and return that one."""
        theirs = self._theirs(said, optimize=False)
        if isinstance(theirs, str):
            raise Unexplained(f"{text!r}\nlibpcap refuses {said!r}: {theirs}")
        ours, theirs, used = self._adapted(expression, ours, theirs)
        if _loops(theirs):
            used.append("protochain is unrolled")
            theirs = _unrolled(theirs)
            self._sample(text, ours, theirs)
        else:
            self._same(text, "unoptimised, ours and libpcap's", ours, theirs)
        for name in used:
            self.counts[f"known: {name}"] += 1
        return theirs

    def _adapted(
        self, expression: tree.Expression, ours: Program, theirs: Program
    ) -> tuple[Program, Program, list[str]]:
        names = []
        for ageing in AGEINGS:
            if ageing.applies(expression, self.link):
                ours = ageing.age(ours, self.link)
                names.append(ageing.name)
        for guard in GUARDS:
            if guard.applies(expression, self.link):
                before = guard.program(self.link)
                ours, theirs = before + ours, before + theirs
                names.append(guard.name)
        return ours, theirs, names

    def _compare_optimised(self, text: str, plain: Program, theirs: Program) -> None:
        """Hold our optimised program to our plain one, and our refusals to libpcap's.

        `theirs` is libpcap's unoptimised program, or ours where it has none.
        """
        optimised = self._ours(text, optimize=True)
        their_answer = self._theirs(text, optimize=True)
        if isinstance(optimised, str):
            self._compare_refusals(text, optimised, their_answer, theirs)
            return
        self._same(text, "ours, optimised and not", optimised, plain)
        if isinstance(their_answer, str):
            if their_answer == REJECTS_ALL and satisfiable(theirs, timeout_ms=PROOF_MS) is None:
                raise Unexplained(f"{text!r}\nno packet matches, and only libpcap says so")
            return
        change = len(optimised) - len(their_answer)
        name = "longer" if change > 0 else "shorter" if change < 0 else "of the same length"
        self.counts[f"{name} than libpcap's optimised program"] += 1

    def _compare_refusals(
        self, text: str, said: str, their_answer: Program | str, theirs: Program
    ) -> None:
        if isinstance(their_answer, str):
            self.counts["refused alike when optimised"] += 1
            return
        if not said.startswith(REJECTS_ALL):
            self._refused_by_one(text, ONLY_OLDER, f"we refuse when optimising: {said}", said)
            return
        # What an unrolled program has no opinion about is no match to prove us wrong with.
        certain = tuple(
            Instruction(Op.RET_K, 0, 0, 0) if one.code == Op.RET_K and one.k == _GIVE_UP else one
            for one in theirs
        )
        answer = satisfiable(certain, timeout_ms=PROOF_MS)
        if answer is None:
            self.counts["stronger rejections, proved"] += 1
        elif isinstance(answer, Undecided):
            self.counts["stronger rejections, sampled"] += 1
            for packet in packets_for(theirs, random.Random(f"{self.seed} {text}"), SAMPLES):
                if self.libpcap.filter(theirs, packet.data, packet.wire_length) == SNAPLEN:
                    raise Unexplained(f"{text!r}\nwe say: {said}; not so for {packet}")
        else:
            told = f"{answer.packet.hex()} of wire length {answer.wire_length}"
            raise Unexplained(f"{text!r}\nwe say: {said}; not so for {told}\n{tcpdump(theirs)}")

    def _same(self, text: str, which: str, ours: Program, theirs: Program) -> None:
        answer = prove(ours, theirs, timeout_ms=PROOF_MS)
        match answer:
            case Equal():
                self.counts["proved"] += 1
            case Undecided():
                self._sample(text, ours, theirs)
            case Different(packet=packet, wire_length=length, verdicts=verdicts):
                raise Unexplained(
                    f"{text!r}\n{which}: {verdicts[0]} and {verdicts[1]} for {packet.hex()} of wire"
                    f" length {length}\n{tcpdump(ours)}--\n{tcpdump(theirs)}"
                )

    def _sample(self, text: str, ours: Program, theirs: Program) -> None:
        """Run both programs on packets that lead down the branches of either."""
        self.counts["sampled"] += 1
        rng = random.Random(f"{self.seed} {text}")
        packets = [
            (packet.data + _PADDING, packet.wire_length)
            for program in (ours, theirs)
            for packet in packets_for(program, rng, SAMPLES // 2)
        ]
        # libpcap's own interpreter leaves in scratch words what the stack held, and refuses
        # offsets that wrap around (Q8); ours has the kernel's meaning, for both programs.
        theirs = _without_metadata(theirs)
        verdicts = [
            [machine(data, length) for data, length in packets]
            for machine in (prepare(ours), prepare(theirs))
        ]
        for (data, length), our_verdict, their_verdict in zip(packets, *verdicts, strict=True):
            if our_verdict != their_verdict != _GIVE_UP:
                packet = Captured(data, length)
                if any(walk(program, packet).end is End.LOAD for program in (ours, theirs)):
                    self.counts["known: an offset that no packet has (Q8), sampled"] += 1
                    continue
                raise Unexplained(
                    f"{text!r}\n{our_verdict} and {their_verdict} for"
                    f" {data.rstrip(bytes(1)).hex()} and zeros, of wire length {length}\n"
                    f"{tcpdump(ours)}--\n{tcpdump(theirs)}"
                )


def _without_metadata(program: Program) -> Program:
    """Return a program of libpcap's whose loads from before the packet are lost, as in libpcap.

    Network headers that seem to begin before the packet (Juniper) make them; in the kernel such
    offsets would be for its metadata, but these are for no word that it has.
    """
    return tuple(
        one._replace(k=_NO_PACKET_REACHES)
        if one.code in _ABSOLUTE and one.k >= ANCILLARY_BASE and ancillary_word(one) is None
        else one
        for one in program
    )


_ABSOLUTE: Final = frozenset({Op.LD_W_ABS, Op.LD_H_ABS, Op.LD_B_ABS, Op.LDX_MSH})
_NO_PACKET_REACHES: Final = 0x7FFFFFFF

_PADDING: Final = bytes(70000)
"""Behind a packet, so that no program reads past its end: header lengths have 16 bits at most."""

_GIVE_UP: Final = 77
"""What an unrolled program returns for packets about which it has no opinion."""

_AUTHENTICATION_HEADER: Final = 51


def _is_back(position: int, one: Instruction) -> bool:
    return one.code == Op.JA and position + 1 + one.k >= 1 << 32


def _loops(program: Program) -> bool:
    return any(_is_back(position, one) for position, one in enumerate(program))


def _unrolled(program: Program) -> Program:
    """Return a program with loops as one without.

    Copies of the whole stand one after the other, and a jump backward goes to its target in the
    next copy; there are as many as we follow headers, and one. Packets with more have no verdict.
    After an authentication header the loop goes on at the wrong place (Q6), which may never end:
    packets that come there have no verdict either.
    """
    program = _silent_about_authentication(program)
    size = len(program)
    copies = []
    for copy in range(DEFAULT_PROTOCHAIN_HEADERS + 1):
        last = copy == DEFAULT_PROTOCHAIN_HEADERS
        for position, one in enumerate(program):
            if last and (_leads_on(program, position) or _is_back(position, one)):
                copies.append(Instruction(Op.RET_K, 0, 0, _GIVE_UP))
            elif _is_back(position, one):
                copies.append(one._replace(k=one.k + size - (1 << 32)))
            else:
                copies.append(one)
    return tuple(copies)


def _leads_on(program: Program, position: int) -> bool:
    """Return whether an instruction begins to look at the next header."""
    inside = any(
        place + 1 + one.k - (1 << 32) <= position <= place
        for place, one in enumerate(program)
        if _is_back(place, one)
    )
    return inside and program[position].code in {Op.LD_B_IND, Op.TXA}


def _silent_about_authentication(program: Program) -> Program:
    silenced = list(program)
    for position, one in enumerate(program):
        target = position + 1 + one.jt
        if (
            one.code == Op.JEQ_K
            and one.k == _AUTHENTICATION_HEADER
            and program[target].code == Op.TXA
        ):
            silenced[target] = Instruction(Op.RET_K, 0, 0, _GIVE_UP)
    return tuple(silenced)
