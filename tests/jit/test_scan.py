"""Native scans give every packet the interpreter's verdict."""

from __future__ import annotations

import random
import struct
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path

import pytest

import pfcompile
from pfcompile.analysis.counters import Counting
from pfcompile.captures.blocks.scans import NO_LIMIT, SLACK, Memory, Reads, Wanted
from pfcompile.captures.formats.layouts import PcapLayout
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import ROWS, Ancillary, Class, Instruction, Op
from pfcompile.errors import InternalError, ProgramError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.facts.link_types import dlt_of_linktype
from pfcompile.ir.graph import Accept
from pfcompile.jit.scan import Scan, Scanner
from pfcompile.jit.scan.notes import Matched
from pfcompile.jit.scan.walk import MOST_CONDITIONS, scan_module
from tests.captures.capture_building import enhanced, interface, pcap, section
from tests.cbpf.random_programs import random_packet, random_program
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun
from tests.jit.scanning import Filter, agree

LAYOUT = PcapLayout("<", "captured first", 16, 262_144, 1_000_000)
RERUN = rerun("tests/jit/test_scan.py")
RANDOM_PROGRAMS = 200
USUAL = Path(__file__).parents[1] / "filters" / "usual.txt"


def file_of(packets, **options) -> bytes:
    """Return a file of packets, some of which were longer on the wire."""
    return pcap(
        [(n, n, data, len(data) + n % 3 * 1000) for n, data in enumerate(packets)], **options
    )


def searches(program) -> bool:
    words = {ANCILLARY_BASE + Ancillary.NLATTR, ANCILLARY_BASE + Ancillary.NLATTR_NEST}
    return any(
        each.code in {Op.LD_W_ABS, Op.LD_H_ABS, Op.LD_B_ABS} and each.k in words for each in program
    )


def test_random_programs():
    done, seen, matched, packets = 0, set(), 0, 0
    rng = random.Random(f"scan-{SEED}")
    while done < RANDOM_PROGRAMS:
        program = random_program(rng)
        if searches(program):
            continue
        done += 1
        seen.update(each.code for each in program)
        content = file_of(random_packet(rng) for _ in range(40))
        outcome = agree(Filter(program), content, f"{program}\n{RERUN}")
        matched += outcome.matched
        packets += outcome.packets
    assert seen == {row.op for row in ROWS}
    assert packets // 10 < matched < packets * 9 // 10


def test_usual_filters():
    """On packets that lead down every way of the program, whole and cut at every length."""
    rng = random.Random(f"usual-{SEED}")
    lines = map(str.strip, USUAL.read_text().splitlines())
    texts = [line for line in lines if line and not line.startswith("#")]
    both = 0
    for text in rng.sample(texts, 60):
        program = pfcompile.compile(text, netmask=0xFFFFFF00).instructions
        packets = [each.data for each in packets_for(program, rng, 30)]
        packets += [packets[0][:length] for length in range(0, len(packets[0]), 3)]
        outcome = agree(Filter(program), file_of(packets), f"{text}\n{RERUN}")
        both += 0 < outcome.matched < outcome.packets
    assert both > 40


@pytest.mark.parametrize("optimize", [True, False])
def test_lists(optimize):
    """Longer than what is written without branches."""
    text = " or ".join(f"host 10.{n}.2.{n * 7 % 256}" for n in range(100))
    program = pfcompile.compile(text, optimize=optimize).instructions
    assert len(program) > MOST_CONDITIONS
    rng = random.Random(f"lists-{SEED}")
    packets = [each.data for each in packets_for(program, rng, 400)]
    outcome = agree(Filter(program), file_of(packets), RERUN)
    assert 0 < outcome.matched < outcome.packets


def ret(k: int) -> Instruction:
    return Instruction(Op.RET_K, 0, 0, k)


A = Instruction(Op.RET_A, 0, 0, 0)
CORNERS = {
    "offset wraps": [(Op.LDX_IMM, 0xFFFFFFFF), (Op.LD_B_IND, 2)],
    "offset at the very top": [(Op.LDX_IMM, 0xFFFFFFFE), (Op.LD_W_IND, 0)],
    "load beyond the slack": [(Op.LD_W_ABS, 200_000)],
    "load beyond any packet": [(Op.LD_H_ABS, ANCILLARY_BASE - 1)],
    "header length beyond": [(Op.LDX_MSH, 0xFFFFFFFF), (Op.TXA, 0)],
    "header length": [(Op.LDX_MSH, 3), (Op.TXA, 0)],
    "division by X": [(Op.LDX_MSH, 0), (Op.LD_B_ABS, 1), (Op.DIV_X, 0)],
    "modulus by X": [(Op.LDX_MSH, 0), (Op.LD_B_ABS, 1), (Op.MOD_X, 0)],
    "shift by X": [(Op.LD_B_ABS, 0), (Op.TAX, 0), (Op.LD_IMM, 1), (Op.LSH_X, 0)],
    "shift down by X": [(Op.LD_B_ABS, 0), (Op.TAX, 0), (Op.LD_IMM, 1), (Op.RSH_X, 0)],
    "negation": [(Op.LD_B_ABS, 0), (Op.NEG, 0), (Op.ADD_K, 1)],
    "wire length": [(Op.LD_LEN, 0), (Op.SUB_K, 1005)],
    "wire length in X": [(Op.LDX_LEN, 0), (Op.LD_B_IND, 0xFFFFFFFF)],
    "scratch that was never written": [(Op.LD_MEM, 7), (Op.ADD_K, 0)],
    "xor with X": [
        (Op.LDX_MSH, 0),
        (Op.LD_B_ABS, 0),
        (Op.LD_W_ABS, ANCILLARY_BASE + Ancillary.ALU_XOR_X),
    ],
    "metadata": [(Op.LD_IMM, 1), (Op.LD_W_ABS, ANCILLARY_BASE + Ancillary.VLAN_TAG)],
}


TAGGED = {
    "vlan": "vlan 7",
    "vlan or not": "tcp port 443 or (vlan and tcp port 443)",
    "one tag": "ether proto 0x8100 and ether[14] & 1 = 0",
    "mpls": "mpls and ether[15] & 1 = 0",
    "pppoe": "pppoes and ether[20] & 1 = 0",
    "a division before": "ether[12:2] / ether[20] = 0x8100",
    "a load beyond before": "ether[100] + ether[12:2] = 0x8100",
    "a computed load before": "ether[ether[13]:2] = 0x8100",
    "a late load before": "ether[70:2] = 0x8100 and ether[12:2] = 0x8100",
}


@pytest.mark.parametrize("name", TAGGED)
@pytest.mark.parametrize("optimize", [True, False])
def test_tags(name, optimize):
    """What is tested first is branched on, where nothing before it can end the filter."""
    program = pfcompile.compile(TAGGED[name], optimize=optimize).instructions
    rng = random.Random(f"tags-{SEED}")
    packets = [each.data for each in packets_for(program, rng, 100)]
    for _ in range(300):
        data = bytearray(rng.randbytes(rng.choice((14, 15, 18, 22, 40, 60, 72, 101, 140))))
        data[12:14] = rng.choice((b"\x81\x00", b"\x88\x47", b"\x88\x64", b"\x08\x00", b"\x00\x64"))
        if len(data) > 20:
            data[20] = rng.choice((0, 1, data[20]))
        packets.append(bytes(data))
    outcome = agree(Filter(program), file_of(packets), f"{TAGGED[name]}\n{RERUN}")
    assert outcome.packets == len(packets)


@pytest.mark.parametrize("name", CORNERS)
def test_corners(name):
    program = (*(Instruction(code, 0, 0, k) for code, k in CORNERS[name]), A)
    packets = [bytes(n) for n in range(9)]
    packets += [bytes([n, 255 - n, n // 16, n % 7, 1, 2]) for n in range(256)]
    packets += [bytes(200_004), bytes(199_999) + b"\x01" * 9]
    agree(Filter(program), file_of(packets), name)
    # The same where control flow is written as branches.
    long = (*[Instruction(Op.LD_IMM, 0, 0, 0)] * MOST_CONDITIONS, *program)
    agree(Filter(long), file_of(packets), name)


def usual_part(text: str) -> list[str]:
    """Return the lines that filter a packet which is long enough for all constant loads."""
    program = pfcompile.compile(text).instructions
    module = scan_module([[program]], LAYOUT, Wanted()).text
    return module.split("\nusual.0:")[1].split("\njudged:")[0].strip().splitlines()


def test_short_programs_have_no_branch_but_two():
    """What the packets hold is not branched on, unless they are short or have a long header."""
    *lines, last = usual_part("tcp port 443")
    assert last.endswith("label %judged, label %short.0, !prof !0")
    assert not [line for line in lines if " br " in line or " phi " in line]
    assert len([line for line in lines if "ule i64" in line]) == 1  # for both ports


@pytest.mark.parametrize("text", ["tcp[30:2] = 1", "ether[ether[12:2]] = 1"])
def test_loads_that_many_packets_lack_are_no_branch(text):
    *lines, last = usual_part(text)
    assert last.strip() == "br label %judged"
    assert not [line for line in lines if " br " in line]


def with_headers_of_all_lengths() -> list[bytes]:
    """Return packets to and from ports, each cut where its IP header would let ports be lacking.

    Of each there is one with a tag before the IP header.
    """
    packets = []
    for words in range(16):
        header = (bytes([0x40 | words]) + bytes(8) + b"\x06").ljust(max(4 * words, 20), b"\0")
        for ports in ((9, 443), (9, 22), (443, 9), (22, 9), (9, 9)):
            body = header + struct.pack(">HHIIBB", *ports, 0, 0, 0x50, 2)
            for tag in (b"", b"\x81\x00\x00\x07"):
                whole = bytes(12) + tag + b"\x08\x00" + body
                packets += [whole[:length] for length in range(14, len(whole) + 1)]
    return packets


def before_port_443(packets) -> bytes:
    """Return a file in which every packet is followed by what port 443 would look like."""
    return pcap([(0xBB01BB01, n, data, len(data)) for n, data in enumerate(packets)])


SHARING = (
    "tcp port 443",
    "tcp port 443 or (vlan and tcp port 443)",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not port 22",
    "tcp[30:2] = 0 or tcp port 22",
)


def matches_of(filters, content: bytes) -> tuple[tuple[int, ...], Scan]:
    """Return how many packets each of some filters matches, and the scan that all share."""
    scan = Scan(LAYOUT, Wanted(), len(filters))
    scan.use(Scanner([filters], LAYOUT, Wanted()))
    memory = bytearray(content[24:]) + bytes(SLACK)
    scan.scan(Memory(memory, 0, len(content) - 24, 24, 0, 0), Reads(-1, 0), NO_LIMIT)
    return scan.sums().matched, scan


def interpreted(program, packets) -> int:
    machine = prepare(program)
    return sum(bool(machine(data, len(data) + n % 3 * 1000)) for n, data in enumerate(packets))


def test_loads_that_are_checked_together():
    """Where a packet lacks one, it is judged again; so are all filters that share the scan."""
    packets = with_headers_of_all_lengths()
    programs = [pfcompile.compile(text).instructions for text in SHARING]
    for program, text in zip(programs, SHARING, strict=True):
        agree(Filter(program), file_of(packets), text)
        agree(Filter(program), before_port_443(packets), text)
    expected = tuple(interpreted(program, packets) for program in programs)
    assert len(set(expected)) == len(SHARING)
    for turn in range(len(SHARING)):
        order = [*range(turn, len(SHARING)), *range(turn)]
        found, _ = matches_of([programs[index] for index in order], file_of(packets))
        assert found == tuple(expected[index] for index in order)


def test_loads_that_are_checked_together_in_every_link_type():
    """What is judged again is judged by the programs of its own link type."""
    raw = pfcompile.compile("tcp port 22", "RAW").instructions
    each = Filter(pfcompile.compile("tcp port 443").instructions, {dlt_of_linktype(101): raw})
    packets = with_headers_of_all_lengths()
    blocks = [section(), interface(), interface(linktype=101)]
    blocks += [enhanced(data=data) for data in packets]
    blocks += [enhanced(number=1, data=data[14:]) for data in packets]
    outcome = agree(each, b"".join(blocks), "two link types")
    assert outcome.packets == 2 * len(packets)
    assert outcome.matched > 100


@pytest.mark.parametrize("counted_first", [True, False])
def test_what_is_counted_is_counted_once(counted_first):
    """A packet that is judged again must not be counted again."""
    graphs = []
    pfcompile.compile(
        "tcp port 443",
        observer=lambda stage: graphs.append(stage.product) if stage.name == "lower" else None,
    )
    counting = Counting(graphs[0])
    program = pfcompile.compile("tcp port 443").instructions
    packets = with_headers_of_all_lengths()
    filters = [counting, program] if counted_first else [program, counting]
    found, scan = matches_of(filters, file_of(packets))
    expected = interpreted(program, packets)
    assert found == (expected, expected)
    ((_, counters),) = scan.counters()
    flows = counting.flows(counters)
    assert flows[counting.graph.entry].reached == len(packets)
    ends = [label for label in counting.graph.labels if counting.graph[label] == Accept()]
    assert sum(flows[label].reached for label in ends) == expected


def test_other_processors_have_no_registers_to_be_set_to_zero(monkeypatch):
    """Their comparisons write whole registers; the code is the same but for that."""
    program = pfcompile.compile("tcp port 443").instructions

    def lines(machine: str, bits: int) -> list[str]:
        monkeypatch.setattr("platform.machine", lambda: machine)
        monkeypatch.setattr("sys.maxsize", (1 << bits - 1) - 1)
        return scan_module([[program]], LAYOUT, Wanted()).text.splitlines()

    ours, process_of_32_bits, theirs = (
        lines("x86_64", 64),
        lines("x86_64", 32),
        lines("aarch64", 64),
    )
    assert [line for line in ours if " asm " not in line] == theirs == process_of_32_bits
    assert len(ours) == len(theirs) + 1
    agree(Filter(program), before_port_443(with_headers_of_all_lengths()), "without zeroing")


def test_a_word_of_matches():
    for packets, size in ((0, 0), (1, 60), ((1 << 32) - 1, (1 << 32) - 1)):
        assert Matched.of(Matched(packets, size).word) == Matched(packets, size)
    assert Matched.of(Matched(3, 4).word + Matched(1, 70).word) == Matched(4, 74)


@pytest.mark.parametrize("limit", [1, 5, 11, 25, 30, 1 << 32, 1 << 40, NO_LIMIT])
def test_a_limit_over_several_calls(limit):
    """Each call knows what those before have matched."""
    packets = [bytes([1]) * (20 + n) for n in range(10)]
    records = pcap([(n, n, data, len(data)) for n, data in enumerate(packets)])[24:]
    wanted = Wanted(limit=True)
    scan = Scan(LAYOUT, wanted, 1)
    scan.use(Scanner([[pfcompile.compile("ether[0] = 1").instructions]], LAYOUT, wanted))
    memory = bytearray(records) + bytes(SLACK)
    for _ in range(3):
        if scan.sums().matched[0] < limit:
            scan.scan(Memory(memory, 0, len(records), 0, 0, 0), Reads(-1, 0), limit)
    matched = min(limit, 30)
    assert scan.sums().matched == (matched,)
    sizes = [len(data) for data in packets * 3]
    assert scan.sums().matched_bytes == (sum(sizes[:matched]),)


def test_blocks_far_into_a_mapped_file():
    """Where a block begins does not matter; a call with more bytes than it may have is refused."""
    packets = with_headers_of_all_lengths()
    program = pfcompile.compile("tcp port 443").instructions
    content = file_of(packets)[24:]
    far = 1 << 32
    scan = Scan(LAYOUT, Wanted(), 1)
    scan.use(Scanner([[program]], LAYOUT, Wanted()))
    flags = MAP_PRIVATE | MAP_ANONYMOUS  # most of it is never touched
    with mmap(-1, far + len(content) + SLACK, flags=flags) as memory:
        memory[far : far + len(content)] = content
        with pytest.raises(InternalError, match="in one call"):
            scan.scan(Memory(memory, 0, far, 0, 0, 0), Reads(-1, 0), NO_LIMIT)
        scan.scan(Memory(memory, far, far + len(content), 0, 0, 0), Reads(-1, 0), NO_LIMIT)
        assert scan.sums().packets == len(packets)
        assert scan.sums().matched == (interpreted(program, packets),)
        scan.memory = bytearray()


def test_searches_are_refused():
    program = (Instruction(Op.LD_W_ABS, 0, 0, ANCILLARY_BASE + Ancillary.NLATTR), A)
    with pytest.raises(ProgramError, match="netlink attributes"):
        Scanner([[program]], LAYOUT, Wanted())


def test_invalid_programs_are_refused():
    with pytest.raises(ProgramError, match="last instruction is not ret"):
        Scanner([[(Instruction(Op.LD_IMM, 0, 0, 0),)]], LAYOUT, Wanted())


def test_returns_of_nothing_are_no_match():
    content = file_of([b"abc", b"", b"xyz"])
    assert agree(Filter((ret(0),)), content, "ret 0").matched == 0
    assert agree(Filter((ret(0xFFFFFFFF),)), content, "ret all").matched == 3


def test_every_class_is_tried():
    classes = {Class(code & 7) for each in CORNERS.values() for code, _ in each}
    assert classes >= {Class.LD, Class.LDX, Class.ALU, Class.MISC}


def test_bytes_of_the_next_record_are_never_the_packet():
    """A packet that ends early must not be filled up with what follows it."""
    program = pfcompile.compile("ether[14] = 0x31").instructions
    short = struct.pack("<4I", 0x31313131, 0, 14, 60) + b"1" * 14
    content = pcap([]) + short * 50
    assert agree(Filter(program), content, "short packets").matched == 0


def test_many_runs_of_a_block():
    """Kept and left records of all lengths: those copied at once, and longer ones."""
    rng = random.Random(f"runs-{SEED}")
    packets = [
        bytes([n % 2]) + rng.randbytes(rng.choice((rng.randrange(400), 111, 112, 1500)))
        for n in range(2001)
    ]
    program = pfcompile.compile("ether[0] = 1").instructions
    outcome = agree(Filter(program), file_of(packets), RERUN)
    assert outcome.matched == 1000
