"""Commands: what is refused and how, what an empty line does, maps; the rest is in transcripts."""

from __future__ import annotations

import random

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.debugger.classic import ClassicCode
from pfcompile.debugger.commands import COMMANDS, Shell, find
from pfcompile.debugger.mistakes import Mistake
from pfcompile.debugger.prompt import ScriptError, run_prompt, run_script
from pfcompile.ebpf.asm import assemble as assemble_extended
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.errors import Span
from tests.debugger.sessions import extended, session
from tests.debugger.test_session import ARP, CLASSIC, COUNTER, IP
from tests.generator.seed import SEED, rerun


@pytest.fixture
def shell(tmp_path):
    text = "ip or arp"
    origins = [(Span(0, 2),), (Span(0, 2),), (), ()]
    code = ClassicCode(assemble(CLASSIC), text, origins)
    return Shell(session(tmp_path / "capture", [IP, ARP, IP], code))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stepp", "did you mean step?"),
        ("stp", "did you mean step?"),
        ("st", "'st' could be step or start"),
        ("xyzzy", "`help` lists the commands"),
        ("step x", "'x' is not a number\n    hint: usage: step [N]"),
        ("step -1", "'-1' is not a number"),
        ("step 0", "0 is no number of instructions"),
        ("step 1 2", "'1 2' is not a number"),
        ("step 99999999999999999999", "is not a number"),
        ("back 0", "0 is no number of instructions"),
        ("continue al1", "'al1' is not a number"),
        ("start 1", "'1' is too much"),
        ("quit now", "'now' is too much"),
        ("select", "which packet?"),
        ("select 0", "counted from 1"),
        ("select 4", "packet 3 is the last one"),
        ("select 0x10", "there is no packet 16"),
        ("next-packet mtach", "did you mean match"),
        ("next-packet 3", "usage: next-packet [match|no-match]"),
        ("break 4", "no instruction begins at 4\n    hint: instructions: 0 to 3"),
        ("break if", "something is missing"),
        ("break 1 if", "something is missing"),
        ("break if A = ", "something is missing"),
        ("break if r0 == 1", "there is no 'r0' here"),
        ("break A == 1", "for a condition: break if A == 1"),
        ("break udp", "there is no 'udp' in the expression\n    hint: it has 'ip'"),
        ("break arp", "no instruction is for 'arp'"),
        ("watch", "watch what?"),
        ("watch A &", "something is missing"),
        ("delete 1", "there are none"),
        ("delete x", "'x' is not a number"),
        ("info", "something is missing\n    hint: usage: info registers|"),
        ("info pakcet", "did you mean packet?"),
        ("info p", "usage: info registers|packet"),
        ("info maps 3", "'3' is too much"),
        ("info packet 1 2 3", "usage: info packet [OFFSET [COUNT]]"),
        ("info packet x", "'x' is not a number"),
        ("print", "print what?"),
        ("print pkt[99]", "the packet has 34 bytes, and so no byte 99"),
        ("print pkt[0-1]", "the packet has 34 bytes"),
        ("print M[16]", "there is no M[16]"),
        ("help stpe", "did you mean step?"),
        ("list x", "'x' is not a number"),
        ("list 9", "there is no instruction 9"),
        ("info packet 34", "the packet has 34 bytes, and so no byte 34"),
        ('break ""', "which instruction, or which term?"),
        ("break ''  if A == 1", "which instruction, or which term?"),
    ],
)
def test_mistakes(shell, line, said):
    before = shell.session.view()
    with pytest.raises(Mistake) as caught:
        shell.execute(line)
    assert said in str(caught.value)
    assert shell.session.view() == before
    assert not shell.session.breakpoints


def test_every_beginning_that_is_clear_will_do():
    assert find("cont").name == "continue"
    assert find("STEP").name == "step"
    assert find("next").name == "next-packet"
    assert find("prev").name == "previous-packet"
    assert find("pri").name == "print"
    for command in COMMANDS:
        for name in (command.name, *command.aliases):
            assert find(name) is command


def test_help_is_about_every_command(shell):
    lines = shell.execute("help")
    assert len(lines) == len(COMMANDS)
    for command in COMMANDS:
        first, *_ = shell.execute(f"help {command.name}")
        assert first == f"{command.usage}: {command.help}"


def test_lines_are_short_enough_for_a_terminal(shell):
    lines = [line for each in COMMANDS for line in shell.execute(f"help {each.name}")]
    assert max(map(len, [*lines, *shell.execute("help")])) <= 100


def test_an_empty_line_goes_on(shell):
    shell.execute("step")
    assert shell.execute("", repeats=True)[-1].startswith("=> (002)")
    shell.execute("print A")
    assert shell.execute("", repeats=True) == []
    assert shell.execute("") == []
    assert shell.execute("  # a comment") == []


def test_a_term_that_is_a_number_of_no_instruction(tmp_path):
    code = ClassicCode(assemble(CLASSIC), "port 443", [(Span(0, 8),), (Span(0, 8),), (), ()])
    shell = Shell(session(tmp_path / "capture", [IP], code))
    assert shell.execute("break 443") == ["1: 443 at 0"]
    assert shell.execute("break 1") == ["2: instruction 1"]
    with pytest.raises(Mistake, match="no instruction begins at 44"):
        shell.execute("break 44")


def test_a_program_without_an_expression(tmp_path):
    shell = Shell(session(tmp_path / "capture", [IP], ClassicCode(assemble(CLASSIC))))
    with pytest.raises(Mistake, match="nothing is known of an expression"):
        shell.execute("break udp")


def test_scratch_memory(tmp_path):
    text = "ld #7\n st M[3]\n ldx M[3]\n ret a"
    shell = Shell(session(tmp_path / "capture", [IP], ClassicCode(assemble(text))))
    shell.execute("step")
    assert shell.execute("step") == ["   M[3]: 0 -> 7", "=> (002) ldx      M[3]"]
    assert shell.execute("info registers")[-1] == "*M[3]  0x00000007  7"
    assert shell.execute("print M[3] + M[0]") == ["M[3] + M[0] = 7"]


def test_maps(tmp_path):
    maps = [MapSpec(MapType.ARRAY, 4, 8, 1, name="seen")]
    shell = Shell(
        session(tmp_path / "capture", [IP, IP], extended(assemble_extended(COUNTER), maps))
    )
    assert shell.execute("info maps") == ["seen: 0 entries, all others are zeros"]
    assert "   r1: 0x200000000 -> 0x4000000000000000, map seen" in shell.execute("step 3")
    shell.execute("step 6")
    assert shell.execute("step")[0] == "   map seen: key 00 00 00 00 = 01 00 00 00 00 00 00 00"
    assert shell.execute("info maps") == [
        "seen: 1 entry, all others are zeros",
        "  00 00 00 00: 01 00 00 00 00 00 00 00",
    ]
    assert shell.execute("back")[0] == "   map seen: key 00 00 00 00 = 00 00 00 00 00 00 00 00"
    shell.execute("continue 2")
    assert shell.execute("info maps")[-1] == "  00 00 00 00: 02 00 00 00 00 00 00 00"


HASH = """
*(u32 *)(r10 - 4) = 7
r1 = map[fd:1]
r2 = r10
r2 += -4
r3 = r2
r4 = 0
call 2
r1 = map[fd:1]
r2 = r10
r2 += -4
call 3
r1 = map[fd:2]
r2 = r10
r2 += -4
r3 = 4
r4 = 0
call 130
*(u64 *)(r10 - 16) = 0x0a6968
r1 = r10
r1 += -16
r2 = 4
call 6
call inner
exit
inner:
r0 = 1
exit
"""


def test_keys_records_lines_and_frames(tmp_path):
    maps = [
        MapSpec(MapType.HASH, 4, 4, 8, MapFlag.NONE, "table"),
        MapSpec(MapType.RINGBUF, 0, 0, 4096, name="ring"),
    ]
    shell = Shell(session(tmp_path / "capture", [IP], extended(assemble_extended(HASH), maps)))
    said = []
    while shell.view.end is None:
        said += shell.execute("step")
    for line in (
        "   map table: key 07 00 00 00 = 07 00 00 00",
        "   map table: key 07 00 00 00 deleted",
        "   map ring: record 07 00 00 00",
        "   prints: hi\n",
        "   stack frame 2: entered",
        "   stack frame 2: left",
    ):
        assert line.rstrip("\n") in [each.rstrip("\n") for each in said]
    assert said[-1].startswith("match: returns 1 (")
    assert not [line for line in shell.execute("back 3") if "prints" in line]
    assert shell.execute("info maps") == ["table: 0 entries", "ring: 1 entry", "  07 00 00 00"]


def test_a_script_ends_where_it_says(shell):
    said = []
    with pytest.raises(ScriptError, match="x: line 2: unknown command 'rubbish'"):
        run_script(shell, ["step", "rubbish"], said.append, name="x")
    run_script(shell, ["back", "quit", "rubbish"], said.append, name="x")
    assert said[-1].startswith("=> (000)")


def test_a_prompt_goes_on_after_mistakes(shell):
    given = iter(["step", "", "rubbish", "print A"])
    said = []

    def read(_prompt):
        line = next(given, None)
        if line is None:
            raise EOFError
        return line

    run_prompt(shell, read, said.append)
    assert "unknown command 'rubbish'\n    hint: `help` lists the commands" in said
    assert said[-2:] == ["A = 0x800 (2048)", ""]


def test_rubbish_is_refused_and_nothing_worse(shell):
    rng = random.Random(SEED)
    words = [
        *(each.name for each in COMMANDS if each.name != "quit"),
        "s",
        "b",
        "if",
        "A",
        "==",
        "3",
    ]
    words += ["packet", "pkt[12:2]", "match", "all", "1 2", "-1", "$", "é", "99", "registers", "/x"]
    done = 0
    for _ in range(2000):
        line = " ".join(rng.choices(words, k=rng.randint(1, 4)))
        try:
            shell.execute(line, repeats=True)
        except Mistake:
            continue
        except Exception as error:
            raise AssertionError((line, rerun("tests/debugger/test_commands.py"))) from error
        done += 1
    assert done > 100
