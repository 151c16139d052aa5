"""An iptables rule with a tcpdump expression, by the match xt_bpf.

    sudo python examples/iptables_rule.py "udp dst port 53 and len > 99" iptables -A INPUT -j DROP
    python examples/iptables_rule.py "udp dst port 53 and len > 99"

The first puts the expression as bytecode behind the command, and runs that; the second prints what
is to be put there. The same words with -D instead of -A take the rule away.

Packets begin with the IP header there, so that filters are compiled for bare IP. xt_bpf takes at
most 64 instructions.
"""

from __future__ import annotations

import shlex
import subprocess
import sys

import pfcompile
from pfcompile.errors import ProgramError

LONGEST = 64
"""XT_BPF_MAX_NUM_INSTR, linux/netfilter/xt_bpf.h."""


def match(expression: str) -> list[str]:
    """Return iptables' words for an expression."""
    program = pfcompile.compile(expression, link_type="RAW", snaplen=65535)
    count = len(program.instructions)
    if count > LONGEST:
        raise ProgramError(f"{count} instructions are more than the {LONGEST} of xt_bpf")
    return ["-m", "bpf", "--bytecode", str(program.dump("iptables")).strip()]


def main(expression: str, command: list[str]) -> int:
    """Run the command, or print what belongs to it."""
    words = match(expression)
    if not command:
        print(shlex.join(words))
        return 0
    return subprocess.run([*command, *words], check=False).returncode  # noqa: S603 - as it was given


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except (pfcompile.PfcompileError, OSError) as error:
        sys.exit(str(error))
