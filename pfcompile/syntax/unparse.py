"""A tree printed back as an expression.

What was inherited or left out is written out, and what has several spellings gets its usual one::

    tcp dst port 80 or (443 or 8080)
    tcp dst port 80 or (tcp dst port 443 or tcp dst port 8080)

Parentheses stand where the tree needs them, and around an operand that is a remainder (`%`) or an
exclusive or (`^`): their right side runs to the end of the arithmetic, which few readers know.
"""

from __future__ import annotations

from typing import Final, assert_never

from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import tree
from pfcompile.syntax.lexer import word_kind

_PRECEDENCE: Final = {
    **dict.fromkeys((ArithmeticOp.MOD, ArithmeticOp.XOR), 0),
    ArithmeticOp.OR: 1,
    ArithmeticOp.AND: 2,
    **dict.fromkeys((ArithmeticOp.LSH, ArithmeticOp.RSH), 3),
    **dict.fromkeys((ArithmeticOp.ADD, ArithmeticOp.SUB), 4),
    **dict.fromkeys((ArithmeticOp.MUL, ArithmeticOp.DIV), 5),
}
_UNARY: Final = 6
_ATOM: Final = 7


def unparse(expression: tree.Expression) -> str:
    """Return an expression that parses to an equal tree.

    Args:
        expression: A tree as the parser makes it; nesting beyond `inherit.MAX_DEPTH` is not.
    """
    return _expression(expression, bare=not _has_unqualified(expression))


def _has_unqualified(expression: tree.Expression) -> bool:
    """Return whether an identifier in the tree has nothing to inherit."""
    waiting = [expression]
    while waiting:
        match waiting.pop():
            case tree.Qualified(qualifiers=None):
                return True
            case tree.Not(operand=operand):
                waiting.append(operand)
            case tree.Chain(first=first, links=links):
                waiting += [first, *(link.operand for link in links)]
            case _:
                pass
    return False


def _expression(node: tree.Expression, *, bare: bool) -> str:
    """Return the text of a whole expression.

    Unless `bare`, qualified operands stand in parentheses, which hand on nothing to an identifier
    that has to stay without qualifiers.
    """
    match node:
        case tree.Chain(first=first, links=links):
            parts = [_operand(first, bare=bare)]
            for link in links:
                parts += [link.junction.value, _operand(link.operand, bare=bare)]
            return " ".join(parts)
        case tree.Not(operand=operand):
            return f"not {_operand(operand, bare=bare)}"
        case _:
            text = _primitive(node)
            hands_on = isinstance(node, tree.Qualified) and node.qualifiers is not None
            return f"({text})" if hands_on and not bare else text


def _operand(node: tree.Expression, *, bare: bool) -> str:
    text = _expression(node, bare=bare)
    return f"({text})" if isinstance(node, tree.Chain) else text


def _primitive(node: tree.Primitive) -> str:
    match node:
        case tree.Qualified(qualifiers=qualifiers, identifier=identifier):
            return _words(*_head(qualifiers), _identifier(identifier))
        case tree.Abbreviation(proto=proto):
            return proto.value
        case tree.Relation(op=op, left=left, right=right):
            return f"{_arithmetic(left)} {op.value} {_arithmetic(right)}"
        case tree.Cast(word=word, proto=proto):
            return _words(proto and proto.value, word)
        case tree.LengthBound(word=word, bound=number):
            return f"{word} {number}"
        case tree.LinkByte(offset=offset, op=sign, value=number):
            return f"byte {offset} {sign} {number}"
        case tree.Way(word=word) | tree.AtmType(word=word) | tree.Ss7Unit(word=word):
            return word
        case tree.InterfaceIndex(index=number):
            return f"ifindex {number}"
        case tree.Encapsulation(word=word, number=optional):
            return _words(word, optional)
        case tree.Llc(type_name=name):
            # `rnr` is a keyword, but one that may stand here.
            return _words("llc", name if name is None or name == "rnr" else _name(name))
        case tree.WlanType(type=frame_type, subtype=subtype):
            return _words(*_labelled("type", frame_type), *_labelled("subtype", subtype))
        case tree.WlanDirection(direction=way):
            return _words(*_labelled("dir", way))
        case tree.PacketFilter(word=word, value=value):
            return _words(*_labelled(word, value))
        case tree.FieldValue(word=word, values=values) if len(values) > 1:
            return f"{word} ({' or '.join(map(str, values))})"
        case tree.FieldValue(word=word, op=op, values=values):
            return f"{word} {op.value} {values[0]}"
        case _:
            assert_never(node)


def _head(qualifiers: tree.Qualifiers | None) -> tuple[str | None, ...]:
    """Return the words before an identifier, None for those that were not written."""
    if qualifiers is None:
        return ()
    words = (qualifiers.proto, qualifiers.direction, qualifiers.kind)
    return tuple(word and word.value for word in words)


def _words(*words: str | int | None) -> str:
    """Return the words that are there, with blanks between them."""
    return " ".join(str(word) for word in words if word is not None)


def _labelled(label: str, value: int | str | None) -> tuple[str | int, ...]:
    """Return a keyword and the number or name behind it, or nothing where there is none."""
    if value is None:
        return ()
    return label, _name(value) if isinstance(value, str) else value


def _identifier(node: tree.Identifier) -> str:
    match node:
        case tree.Name(text=text):
            return _name(text)
        case tree.Number(value=value):
            return str(value)
        case tree.IPv4(text=text, netmask=str(mask)):
            return f"{text} mask {mask}"
        case (
            tree.IPv4(text=text, prefix_length=length) | tree.IPv6(text=text, prefix_length=length)
        ):
            return text if length is None else f"{text}/{length}"
        case tree.Mac(address=address):
            return address.hex(":")
        case tree.ArcnetAddress(address=station):
            return f"${station:02x}"
        case _:
            assert_never(node)


def _name(text: str) -> str:
    """Return a name as it must be written: a keyword, for one, has a backslash before it."""
    return text if word_kind(text) == "ID" and not text.startswith("\\") else f"\\{text}"


def _arithmetic(node: tree.Arithmetic, least: int = 0) -> str:
    """Return the text of arithmetic that binds at least as tightly as `least`."""
    match node:
        case tree.Literal(value=value):
            return str(value)
        case tree.Length():
            return "len"
        case tree.Accessor(proto=proto, index=index, size=size):
            tail = "" if size == 1 else f":{size}"
            return f"{proto.value}[{_arithmetic(index)}{tail}]"
        case tree.Negate(operand=operand):
            text, precedence = f"-{_arithmetic(operand, _ATOM)}", _UNARY
        case tree.Binary(op=op, left=left, right=right):
            precedence = _PRECEDENCE[op]
            # A remainder takes single things on both sides, the others associate to the left.
            before, after = (precedence, precedence + 1) if precedence else (_ATOM, _ATOM)
            text = f"{_arithmetic(left, before)} {op.value} {_arithmetic(right, after)}"
        case _:
            assert_never(node)
    return f"({text})" if precedence < least else text
