"""The grammar of filter expressions, for PLY: a rule is a function and its docstring a production.

The actions only build nodes. What an identifier inherits from its left is filled in afterwards by
`inherit.py`, since it depends on the whole way down to it; until then an expression is made of the
half-finished nodes of that module.

Two operators were never given a precedence by libpcap, `%` and `^`: nothing before them is reduced,
and their right side runs to the end of the arithmetic. The `precedence` table says so.

Source: pcap-filter(7); libpcap 1.11's grammar as its behaviour shows it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pfcompile.errors import Span
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.syntax import inherit, tree
from pfcompile.syntax.keywords import TOKENS

tokens = TOKENS

start = "filter"

precedence = (
    ("left", "AND", "OR"),
    ("nonassoc", "TO_THE_END"),
    ("left", "PIPE"),
    ("left", "AMPERSAND"),
    ("left", "LSH", "RSH"),
    ("left", "PLUS", "MINUS"),
    ("left", "TIMES", "SLASH"),
    ("right", "UNARY_MINUS"),
    ("right", "PERCENT", "CARET"),
)


def _span(p: Any) -> Span:
    """Return the span of all that a production has matched."""
    first, last = p[1], p[len(p) - 1]
    return Span(first.span.start, last.span.end)


# Logic


def p_filter(p: Any) -> None:
    """filter : expression"""
    p[0] = p[1]


def p_expression_first(p: Any) -> None:
    """expression : term"""
    p[0] = inherit.Sequence(p[1])


def p_expression_more(p: Any) -> None:
    """
    expression : expression and term
               | expression and id
               | expression or term
               | expression or id
    """
    p[1].append(p[2], p[3])
    p[0] = p[1]


def p_and(p: Any) -> None:
    """and : AND"""
    p[0] = tree.Junction.AND


def p_or(p: Any) -> None:
    """or : OR"""
    p[0] = tree.Junction.OR


def p_term(p: Any) -> None:
    """term : rterm"""
    p[0] = p[1]


def p_term_not(p: Any) -> None:
    """term : NOT term"""
    p[0] = inherit.Negation(p[2], _span(p))


def p_rterm_group(p: Any) -> None:
    """rterm : LPAREN expression RPAREN"""
    p[0] = inherit.group(p[2], _span(p))


def p_rterm_qualified(p: Any) -> None:
    """rterm : head id"""
    p[0] = inherit.Headed(p[1], p[2], _span(p))


def p_rterm_abbreviation(p: Any) -> None:
    """rterm : pname"""
    p[0] = tree.Abbreviation(p[1].value, p[1].span)


def p_rterm_relation(p: Any) -> None:
    """rterm : arithmetic relop arithmetic"""
    p[0] = tree.Relation(p[2].value, p[1], p[3], _span(p))


def p_rterm_primitive(p: Any) -> None:
    """rterm : primitive"""
    p[0] = p[1]


# Qualifiers


def p_head_kind(p: Any) -> None:
    """head : pqual dqual KIND"""
    p[0] = inherit.Head(tree.Qualifiers(p[1].value, p[2].value, p[3].value), _head_span(p))


def p_head_direction(p: Any) -> None:
    """head : pqual dqual"""
    p[0] = inherit.Head(tree.Qualifiers(p[1].value, p[2].value, None), _head_span(p))


def p_head_no_direction(p: Any) -> None:
    """
    head : pqual KIND
         | pqual BARE_KIND
    """
    p[0] = inherit.Head(tree.Qualifiers(p[1].value, None, p[2].value), _head_span(p))


def _head_span(p: Any) -> Span:
    """Return the span of a head, whose protocol may be empty."""
    first = p[1] if p[1].value is not None else p[2]
    return Span(first.span.start, p[len(p) - 1].span.end)


def p_pqual(p: Any) -> None:
    """pqual : pname"""
    p[0] = p[1]


def p_pqual_none(p: Any) -> None:
    """pqual :"""
    p[0] = inherit.Word(None, tree.NOWHERE)


def p_pname(p: Any) -> None:
    """pname : PROTOCOL"""
    p[0] = p[1]


def p_dqual_one(p: Any) -> None:
    """
    dqual : SRC
          | DST
    """
    p[0] = inherit.Word(tree.Direction(p[1].text), p[1].span)


def p_dqual_either(p: Any) -> None:
    """
    dqual : SRC OR DST
          | DST OR SRC
    """
    p[0] = inherit.Word(tree.Direction.SRC_OR_DST, _span(p))


def p_dqual_both(p: Any) -> None:
    """
    dqual : SRC AND DST
          | DST AND SRC
    """
    p[0] = inherit.Word(tree.Direction.SRC_AND_DST, _span(p))


def p_dqual_wlan(p: Any) -> None:
    """dqual : WLAN_ADDRESS"""
    p[0] = p[1]


# Identifiers


def p_id_named(p: Any) -> None:
    """
    id : nid
       | pnum
    """
    p[0] = p[1]


def p_id_group(p: Any) -> None:
    """id : LPAREN pid RPAREN"""
    p[0] = inherit.group(p[2], _span(p))


def p_nid(p: Any) -> None:
    """nid : ID"""
    p[0] = tree.Name(p[1].value, p[1].span)


def p_nid_ipv4(p: Any) -> None:
    """nid : IPV4"""
    p[0] = tree.IPv4(p[1].text, span=p[1].span)


def p_nid_ipv4_prefix(p: Any) -> None:
    """nid : IPV4 SLASH NUM"""
    p[0] = tree.IPv4(p[1].text, prefix_length=p[3].value, span=_span(p))


def p_nid_ipv4_mask(p: Any) -> None:
    """nid : IPV4 MASK IPV4"""
    p[0] = tree.IPv4(p[1].text, netmask=p[3].text, span=_span(p))


def p_nid_ipv6(p: Any) -> None:
    """nid : IPV6"""
    p[0] = tree.IPv6(p[1].text, span=p[1].span)


def p_nid_ipv6_prefix(p: Any) -> None:
    """nid : IPV6 SLASH NUM"""
    p[0] = tree.IPv6(p[1].text, prefix_length=p[3].value, span=_span(p))


def p_nid_mac(p: Any) -> None:
    """nid : MAC"""
    p[0] = tree.Mac(p[1].value, p[1].span)


def p_nid_arcnet(p: Any) -> None:
    """nid : ARCNET"""
    p[0] = tree.ArcnetAddress(p[1].value, p[1].span)


def p_nid_not(p: Any) -> None:
    """nid : NOT id"""
    p[0] = inherit.Negation(p[2], _span(p))


def p_pnum(p: Any) -> None:
    """pnum : NUM"""
    p[0] = tree.Number(p[1].value, p[1].span)


def p_pnum_group(p: Any) -> None:
    """pnum : LPAREN pnum RPAREN"""
    p[0] = replace(p[2], span=_span(p))


def p_pid_one(p: Any) -> None:
    """pid : nid"""
    p[0] = inherit.Sequence(p[1])


def p_pid_more(p: Any) -> None:
    """
    pid : qid and id
        | qid or id
    """
    p[1].append(p[2], p[3])
    p[0] = p[1]


def p_qid_number(p: Any) -> None:
    """qid : pnum"""
    p[0] = inherit.Sequence(p[1])


def p_qid(p: Any) -> None:
    """qid : pid"""
    p[0] = p[1]


# Arithmetic


def p_arithmetic_number(p: Any) -> None:
    """arithmetic : pnum"""
    p[0] = tree.Literal(p[1].value, p[1].span)


def p_arithmetic(p: Any) -> None:
    """arithmetic : narith"""
    p[0] = p[1]


def p_narith_length(p: Any) -> None:
    """narith : LENGTH"""
    p[0] = tree.Length(p[1].span)


def p_narith_accessor(p: Any) -> None:
    """narith : pname LBRACKET arithmetic RBRACKET"""
    p[0] = tree.Accessor(p[1].value, p[3], 1, _span(p))


def p_narith_accessor_size(p: Any) -> None:
    """narith : pname LBRACKET arithmetic COLON NUM RBRACKET"""
    p[0] = tree.Accessor(p[1].value, p[3], p[5].value, _span(p))


def p_narith_binary(p: Any) -> None:
    """
    narith : arithmetic PLUS arithmetic
           | arithmetic MINUS arithmetic
           | arithmetic TIMES arithmetic
           | arithmetic SLASH arithmetic
           | arithmetic AMPERSAND arithmetic
           | arithmetic PIPE arithmetic
           | arithmetic LSH arithmetic
           | arithmetic RSH arithmetic
    """
    p[0] = tree.Binary(ArithmeticOp(p[2].text), p[1], p[3], _span(p))


def p_narith_to_the_end(p: Any) -> None:
    """
    narith : arithmetic PERCENT arithmetic %prec TO_THE_END
           | arithmetic CARET arithmetic %prec TO_THE_END
    """
    p[0] = tree.Binary(ArithmeticOp(p[2].text), p[1], p[3], _span(p))


def p_narith_negate(p: Any) -> None:
    """narith : MINUS arithmetic %prec UNARY_MINUS"""
    p[0] = tree.Negate(p[2], _span(p))


def p_narith_group(p: Any) -> None:
    """narith : LPAREN narith RPAREN"""
    p[0] = replace(p[2], span=_span(p))


def p_relop(p: Any) -> None:
    """
    relop : EQ
          | NE
          | GT
          | GE
          | LT
          | LE
    """
    text = "=" if p[1].text == "==" else p[1].text
    p[0] = inherit.Word(tree.RelationOp(text), p[1].span)


# Primitives that are neither a protocol, nor qualified, nor a comparison


def p_primitive_cast(p: Any) -> None:
    """primitive : pqual CAST"""
    p[0] = tree.Cast(p[2].value, p[1].value, _head_span(p))


def p_primitive_bound(p: Any) -> None:
    """primitive : BOUND NUM"""
    p[0] = tree.LengthBound(p[1].value, p[2].value, _span(p))


def p_primitive_byte(p: Any) -> None:
    """primitive : BYTE NUM byteop NUM"""
    op = "=" if p[3].text == "==" else p[3].text
    p[0] = tree.LinkByte(p[2].value, op, p[4].value, _span(p))


def p_byteop(p: Any) -> None:
    """
    byteop : EQ
           | LT
           | GT
           | AMPERSAND
           | PIPE
    """
    p[0] = p[1]


def p_primitive_way(p: Any) -> None:
    """primitive : WAY"""
    p[0] = tree.Way(p[1].value, p[1].span)


def p_primitive_ifindex(p: Any) -> None:
    """primitive : IFINDEX NUM"""
    p[0] = tree.InterfaceIndex(p[2].value, _span(p))


def p_primitive_tunnel_number(p: Any) -> None:
    """primitive : TUNNEL pnum"""
    p[0] = tree.Encapsulation(p[1].value, p[2].value, _span(p))


def p_primitive_tunnel(p: Any) -> None:
    """
    primitive : TUNNEL
              | PPPOED
    """
    p[0] = tree.Encapsulation(p[1].text, None, p[1].span)


def p_primitive_llc(p: Any) -> None:
    """primitive : LLC"""
    p[0] = tree.Llc(None, p[1].span)


def p_primitive_llc_type(p: Any) -> None:
    """
    primitive : LLC ID
              | LLC RNR
    """
    p[0] = tree.Llc(p[2].value, _span(p))


def p_primitive_wlan(p: Any) -> None:
    """primitive : pqual wlan"""
    # A protocol before it says nothing, as in libpcap.
    p[0] = p[2]


def p_wlan_type(p: Any) -> None:
    """wlan : TYPE number_or_name"""
    p[0] = tree.WlanType(p[2].value, None, _span(p))


def p_wlan_type_subtype(p: Any) -> None:
    """wlan : TYPE number_or_name SUBTYPE number_or_name"""
    p[0] = tree.WlanType(p[2].value, p[4].value, _span(p))


def p_wlan_subtype(p: Any) -> None:
    """wlan : SUBTYPE ID"""
    p[0] = tree.WlanType(None, p[2].value, _span(p))


def p_wlan_direction(p: Any) -> None:
    """wlan : DIR number_or_name"""
    p[0] = tree.WlanDirection(p[2].value, _span(p))


def p_number_or_name(p: Any) -> None:
    """
    number_or_name : NUM
                   | ID
    """
    p[0] = p[1]


def p_primitive_pf_name(p: Any) -> None:
    """primitive : PF_NAME ID"""
    p[0] = tree.PacketFilter(p[1].value, p[2].value, _span(p))


def p_primitive_pf_number(p: Any) -> None:
    """
    primitive : RNR NUM
              | SRNR NUM
    """
    p[0] = tree.PacketFilter(p[1].value, p[2].value, _span(p))


def p_primitive_pf_reason(p: Any) -> None:
    """primitive : REASON number_or_name"""
    p[0] = tree.PacketFilter("reason", p[2].value, _span(p))


def p_primitive_pf_action(p: Any) -> None:
    """primitive : ACTION ID"""
    p[0] = tree.PacketFilter("action", p[2].value, _span(p))


def p_primitive_atm(p: Any) -> None:
    """primitive : ATM_TYPE"""
    p[0] = tree.AtmType(p[1].value, p[1].span)


def p_primitive_ss7(p: Any) -> None:
    """primitive : SS7_UNIT"""
    p[0] = tree.Ss7Unit(p[1].value, p[1].span)


def p_primitive_field(p: Any) -> None:
    """primitive : FIELD NUM"""
    p[0] = tree.FieldValue(p[1].value, tree.RelationOp.EQ, (p[2].value,), _span(p))


def p_primitive_field_relation(p: Any) -> None:
    """primitive : FIELD relop NUM"""
    p[0] = tree.FieldValue(p[1].value, p[2].value, (p[3].value,), _span(p))


def p_primitive_field_list(p: Any) -> None:
    """primitive : field_list RPAREN"""
    p[0] = p[1].finish(_span(p))


def p_field_list_first(p: Any) -> None:
    """field_list : FIELD LPAREN NUM"""
    p[0] = inherit.FieldList(p[1].value, [p[3].value], _span(p))


def p_field_list_more(p: Any) -> None:
    """field_list : field_list OR NUM"""
    p[0] = p[1].extended(p[3].value, _span(p))


def p_error(_token: Any) -> None:
    """Say nothing here: the parser's caller sees the token and draws the error."""
