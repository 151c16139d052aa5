"""Where libpcap 1.11, which we follow, is known to differ from 1.10.6, which is the oracle.

Each difference is a rule. A rule about acceptance says for which expressions the two may disagree
whether to compile. A rule about verdicts says more: how to bring the two programs to one meaning,
so that they can be proved the same all the same. Nothing is left out of the comparison.

* A `Respelling` gives the oracle another expression, whose meaning in 1.10.6 is what the original
  one means in 1.11.
* A `Guard` is put before both programs; it rejects the packets about which they differ.
* An `Ageing` takes the difference back in our program.

Source: sections 10 and 11 of the description of the filter language, derived from both versions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.ir.arithmetic import ArithmeticOp, alu
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Kind, Proto, RelationOp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.generator.links import Link

Program: TypeAlias = tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Why one version refuses what the other takes.

    Attributes:
        name: What is told in the counts.
        applies: Whether it explains a disagreement over an expression on a link type, of which
            the one that refuses says `message`.
    """

    name: str
    applies: Callable[[tree.Expression, Link, str], bool]


@dataclass(frozen=True, slots=True)
class Respelling:
    """A primitive that the oracle must be asked for in other words.

    Attributes:
        name: What is told in the counts.
        respell: The new words for a node of the tree, its old words and the link type; None to
            leave it.
    """

    name: str
    respell: Callable[[object, str, Link], str | None]


@dataclass(frozen=True, slots=True)
class Guard:
    """Packets about which the versions differ.

    Attributes:
        name: What is told in the counts.
        applies: Whether the rule matters for an expression on a link type.
        program: What stands before both programs for a link type; falls through for other packets.
    """

    name: str
    applies: Callable[[tree.Expression, Link], bool]
    program: Callable[[Link], Program]


@dataclass(frozen=True, slots=True)
class Ageing:
    """A difference taken back in our program.

    Attributes:
        name: What is told in the counts.
        applies: Whether the rule matters for an expression on a link type.
        age: Our program as 1.10.6 would have it.
    """

    name: str
    applies: Callable[[tree.Expression, Link], bool]
    age: Callable[[Program, Link], Program]


def nodes(found: object) -> Iterator[object]:
    """Yield every node of a tree, each before what it is made of."""
    if is_dataclass(found):
        yield found
        for part in fields(found):
            yield from nodes(getattr(found, part.name))
    elif isinstance(found, tuple):
        for part in found:
            yield from nodes(part)


# Acceptance


def _has(*classes: type) -> Callable[[tree.Expression], bool]:
    return lambda expression: any(isinstance(node, classes) for node in nodes(expression))


def _has_word(*words: str) -> Callable[[tree.Expression], bool]:
    return lambda expression: any(
        getattr(node, "word", None) in words for node in nodes(expression)
    )


def _has_kind(kind: Kind) -> Callable[[tree.Expression], bool]:
    return lambda expression: any(
        isinstance(node, tree.Qualifiers) and node.kind is kind for node in nodes(expression)
    )


def _names(expression: tree.Expression) -> set[str]:
    return {node.text for node in nodes(expression) if isinstance(node, tree.Name)}


def _subtypes(expression: tree.Expression) -> set[str]:
    return {
        str(node.subtype).lower() for node in nodes(expression) if isinstance(node, tree.WlanType)
    }


def _first_constant(operand: tree.Arithmetic) -> int | None:
    """Return the constant that the code for an operand begins with, if it does."""
    match operand:
        case tree.Literal(value=value):
            return value
        case tree.Length():
            return None
        case tree.Binary(left=inner) | tree.Negate(operand=inner) | tree.Accessor(index=inner):
            return _first_constant(inner)


_MEANINGLESS: Final[dict[ArithmeticOp, tuple[str, Callable[[int], bool]]]] = {
    ArithmeticOp.DIV: ("division by zero", lambda value: value == 0),
    ArithmeticOp.MOD: ("modulus by zero", lambda value: value == 0),
    ArithmeticOp.LSH: ("shift by more than 31 bits", lambda value: value > 31),
    ArithmeticOp.RSH: ("shift by more than 31 bits", lambda value: value > 31),
}


def _takes_operand_for_constant(found: tree.Expression, link: Link, said: str) -> bool:
    """Return whether `10 / ip[0]` or the like was refused for the 0 that its code begins with."""
    del link
    for node in nodes(found):
        if isinstance(node, tree.Binary) and not isinstance(node.right, tree.Literal):
            message, is_wrong = _MEANINGLESS.get(node.op, ("", bool))
            first = _first_constant(node.right)
            if said == message and first is not None and is_wrong(first):
                return True
    return False


ONLY_NEWER: Final = (
    Difference(
        "an operand that only begins with a constant is none (Q4)", _takes_operand_for_constant
    ),
    Difference("link type is new", lambda _tree, link, _said: link.newer),
    Difference("vxlan is new", lambda found, _link, _said: _has_word("vxlan")(found)),
    Difference(
        "802.11 frame types on PPI are new",
        lambda found, link, _said: (
            link.name == "PPI" and _has(tree.WlanType, tree.WlanDirection)(found)
        ),
    ),
    Difference(
        "subtypes ba and bar are new",
        lambda found, _link, _said: bool(_subtypes(found) & {"ba", "bar"}),
    ),
    Difference(
        "link protocols lldp and slow are new",
        lambda found, _link, _said: bool(_names(found) & {"lldp", "slow"}),
    ),
    Difference(
        "BACnet MS/TP broadcast is new",
        lambda found, link, _said: link.name == "BACNET_MS_TP" and _has(tree.Cast)(found),
    ),
    Difference(
        "BACnet MS/TP addresses are new",
        lambda found, link, _said: link.name == "BACNET_MS_TP" and _has(tree.ArcnetAddress)(found),
    ),
    Difference(
        "gateway is disabled in the oracle",
        lambda found, _link, _said: _has_kind(Kind.GATEWAY)(found),
    ),
)
"""What 1.11 takes and 1.10.6 refuses, and what both refuse without need."""


def _constant(operand: tree.Arithmetic) -> int | None:
    """Return the number that an operand is for every packet, None where it has none."""
    match operand:
        case tree.Literal(value=value):
            return value
        case tree.Binary(op=op, left=left, right=right):
            a, b = _constant(left), _constant(right)
            return None if a is None or b is None else alu(op, a, b)
        case _:
            return None


def _divides_by_computed_zero(found: tree.Expression, link: Link, said: str) -> bool:
    """Return whether a division was refused whose divisor takes computing to be 0.

    libpcap computes step by step; where it has found in an earlier step that the comparison makes
    no difference, it does not get so far.
    """
    del link
    return said in {"division by zero", "modulus by zero"} and any(
        isinstance(node, tree.Binary)
        and node.op in {ArithmeticOp.DIV, ArithmeticOp.MOD}
        and not isinstance(node.right, tree.Literal)
        and _constant(node.right) == 0
        for node in nodes(found)
    )


ONLY_OLDER: Final = (
    Difference("a division by a computed 0 that makes no difference", _divides_by_computed_zero),
    Difference(
        "numbers out of range",
        lambda _tree, _link, said: "greater than maximum" in said,
    ),
    Difference(
        "no live capture",
        lambda found, _link, said: (
            said.startswith("not a live capture") and _has(tree.Way, tree.InterfaceIndex)(found)
        ),
    ),
    Difference(
        "bad DECnet addresses",
        lambda _tree, _link, said: said.startswith("invalid DECnet address"),
    ),
    Difference(
        "decnet net and decnet port",
        lambda _tree, _link, said: said.startswith("'decnet' is not a valid qualifier for"),
    ),
    Difference(
        "802.11 directions above 3",
        lambda _tree, _link, said: said.startswith("invalid 802.11 direction value"),
    ),
    Difference(
        "protocols on BACnet MS/TP",
        lambda _tree, link, said: (
            link.name == "BACNET_MS_TP"
            and said.startswith("link-layer type filtering not implemented")
        ),
    ),
)
"""What 1.10.6 takes and we refuse."""


# Verdicts


def _negated_field(node: object, words: str, _link: Link) -> str | None:
    match node:
        case tree.FieldValue(op=RelationOp.NE, values=(_,)):
            return f"not ({words.replace('!=', '=')})"
        case _:
            return None


def _byte_mask(node: object, words: str, _link: Link) -> str | None:
    del words
    match node:
        case tree.LinkByte(offset=offset, op="&" | "|" as op, value=value):
            return f"(link[{offset}] {op} {value} != 0)"
        case _:
            return None


_DSA_WAYS: Final = {
    ("DSA_TAG_BRCM", "inbound"): "link[12] & 0xe0 = 0",
    ("DSA_TAG_BRCM", "outbound"): "link[12] & 0xe0 = 0x20",
    ("DSA_TAG_DSA", "inbound"): "link[12] & 0x40 = 0",
    ("DSA_TAG_DSA", "outbound"): "link[12] & 0xc0 = 0x40",
}


def _dsa_way(node: object, words: str, link: Link) -> str | None:
    del words
    return _DSA_WAYS.get((link.name, node.word)) if isinstance(node, tree.Way) else None


RESPELLINGS: Final = (
    Respelling("fields of ATM and SS7: != was =", _negated_field),
    Respelling("byte i & v: the byte was not loaded", _byte_mask),
    Respelling("DSA: inbound and outbound were asked of the kernel", _dsa_way),
)

_IS_IS_WORDS: Final = frozenset(
    {Proto.L1, Proto.L2, Proto.IIH, Proto.LSP, Proto.SNP, Proto.CSNP, Proto.PSNP}
)


def _asks_for_pdu_type(found: tree.Expression, link: Link) -> bool:
    del link
    return any(
        (isinstance(node, tree.Abbreviation) and node.proto in _IS_IS_WORDS)
        or (isinstance(node, tree.Qualifiers) and node.proto is Proto.ISIS)
        for node in nodes(found)
    )


def _whole_pdu_type(program: Program, link: Link) -> Program:
    """Compare the whole byte, which on Cisco HDLC is the one before."""
    aged = list(program)
    for position in range(len(aged) - 1):
        this, after = aged[position : position + 2]
        if this.code in {Op.LD_B_ABS, Op.LD_B_IND} and after == Instruction(Op.AND_K, 0, 0, 0x1F):
            aged[position] = this._replace(k=this.k - (link.name == "C_HDLC"))
            aged[position + 1] = after._replace(k=0xFF)
    return tuple(aged)


AGEINGS: Final = (Ageing("the IS-IS PDU type has five bits", _asks_for_pdu_type, _whole_pdu_type),)

_ARCNET_TYPE_AT: Final = {"ARCNET": 2, "ARCNET_LINUX": 4}
_FORMER_ARCNET_TYPES: Final = (0xF0, 0xF1)


def _rejecting(offset: int, values: tuple[int, ...]) -> Program:
    """Return a guard against packets whose byte at `offset` is one of `values`."""
    last = len(values) - 1
    tests = [
        Instruction(Op.JEQ_K, last - i, 1 if i == last else 0, value)
        for i, value in enumerate(values)
    ]
    return (Instruction(Op.LD_B_ABS, 0, 0, offset), *tests, Instruction(Op.RET_K, 0, 0, 0))


GUARDS: Final = (
    Guard(
        "ARCnet types f0 and f1 are not IP and ARP",
        lambda _tree, link: link.name in _ARCNET_TYPE_AT,
        lambda link: _rejecting(_ARCNET_TYPE_AT[link.name], _FORMER_ARCNET_TYPES),
    ),
    Guard(
        "SLIP: outbound was any direction but 0",
        lambda found, link: link.name == "SLIP" and _has(tree.Way)(found),
        lambda _link: (
            Instruction(Op.LD_B_ABS, 0, 0, 0),
            Instruction(Op.JGT_K, 0, 1, 1),
            Instruction(Op.RET_K, 0, 0, 0),
        ),
    ),
)

# Where the oracle is wrong: looked at only when a comparison has failed

RUN_TIME_HEADERS: Final = frozenset(
    {
        "IEEE802_11",
        "PRISM_HEADER",
        "IEEE802_11_RADIO",
        "IEEE802_11_RADIO_AVS",
        "PPI",
        "PFLOG",
    }
)
"""Link types whose payload begins where a scratch word says, which is computed at the start."""

OFFSETS_FIRST: Final = "run-time offsets were lost where a relation came first"


def with_offsets_first(text: str) -> str:
    """Return an expression of the same meaning that needs the run-time offsets at once.

    Their scratch words are handed out where an expression first needs them. After a relation those
    are ones which the relation has used, and so they are overwritten between the start of the
    program, where they are set, and the test. With this in front they are others.
    """
    payload = "ip host 0.0.0.0"
    return f"({payload} or not {payload}) and link[0] >= 0 and ({text})"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the oracle, by which its program means nothing that can be compared.

    Attributes:
        name: What is told in the counts.
        applies: Whether it can be the reason that the programs for an expression differ.
    """

    name: str
    applies: Callable[[tree.Expression, Link], bool]


def _has_tunnel_after_relation(found: tree.Expression, _link: Link) -> bool:
    order = [
        type(node)
        for node in nodes(found)
        if isinstance(node, tree.Relation | tree.Accessor | tree.Length)
        or (isinstance(node, tree.Encapsulation) and node.word in _TUNNELS)
    ]
    return tree.Encapsulation in order and order[0] is not tree.Encapsulation


_TUNNELS: Final = frozenset({"geneve", "vxlan"})

FAULTS: Final = (
    Fault(
        "a tunnel on 802.11 overwrites the offsets of what surrounds it (Q12)",
        lambda found, link: link.name in RUN_TIME_HEADERS and _has_word("geneve", "vxlan")(found),
    ),
    Fault(
        "pppoes on 802.11 reads scratch words that nothing has set (Q12)",
        lambda found, link: link.name in RUN_TIME_HEADERS and _has_word("pppoes")(found),
    ),
    Fault(
        "a tunnel that was not entered reads what a relation has left (Q31)",
        _has_tunnel_after_relation,
    ),
)


def respelt(text: str, expression: tree.Expression, link: Link) -> tuple[str, list[str]]:
    """Return what to ask the oracle for, and the names of the rules that changed it."""
    changes: list[tuple[int, int, str]] = []
    used = []
    for node in nodes(expression):
        for rule in RESPELLINGS:
            span = getattr(node, "span", None)
            new = None if span is None else rule.respell(node, text[span.start : span.end], link)
            if new is not None:
                changes.append((span.start, span.end, new))
                used.append(rule.name)
    for start, end, new in sorted(changes, reverse=True):
        text = f"{text[:start]} {new} {text[end:]}"
    return text, list(dict.fromkeys(used))
