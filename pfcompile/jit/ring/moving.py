"""The loop over a ring's blocks, as a module of LLVM's: waits, makes records, writes them.

The module has one function, `move(state)`, whose state is 64-bit words (`WORDS`)::

    look:     out, if the time is over; is the next block handed over?
    begin:    its first packet and their number, for the copier (`walk`)
    ask:      poll(2) without waiting: out, if there is something else to do; the rest of the block
              is then for the caller
    copy:     the copier makes records, as many as are written together
    write:    write(2); what is not written as a whole is for the caller, too
    release:  give the block back
    wait:     poll(2) until a block is there; out, if there is something else

So a block costs no Python, whose code and data the processor's caches have lost while it waited.
"""

from __future__ import annotations

from typing import Final

from pfcompile.jit.ring.walk import WORDS as COPIER_WORDS
from pfcompile.kernel.abi import BLOCK_STATUS, TP_STATUS_USER

WORDS: Final = (
    *("ring", "block.bytes", "blocks", "next"),
    *("copier", "copier.state", "out.first", "descriptor", "write"),
    *("written", "length", "sent", "rest"),
    *("polled", "poll", "until", "clock", "seconds", "nanoseconds"),
)
"""The ring's address, the size and the number of its blocks, and which is the next; the copier, its
state, where it puts records, where they are written to and the function that does; how many bytes
of records have been written, of how many an attempt was cut short, behind how many bytes, and
whether the next block is begun; two struct pollfd, of the ring and of what wakes, and the function
that waits for them; when to end, in nanoseconds, and the function that tells the time into the two
words that follow, a struct timespec."""

_CHANGED: Final = frozenset({"next", "written", "length", "sent", "rest", "seconds", "nanoseconds"})

_POLLIN: Final = 1
_CLOCK_MONOTONIC: Final = 1
_POLLFD_BYTES: Final = 8

_TEXT: Final = f"""\
define void @move(ptr %state) #0 {{
entry:
{{loads}}
  %copier.function = inttoptr i64 %copier to ptr
  %write.function = inttoptr i64 %write to ptr
  %poll.function = inttoptr i64 %poll to ptr
  %copier.words = inttoptr i64 %copier.state to ptr
  %out.at = getelementptr i64, ptr %copier.words, i64 {COPIER_WORDS.index("out")}
  %at.at = getelementptr i64, ptr %copier.words, i64 {COPIER_WORDS.index("at")}
  %left.at = getelementptr i64, ptr %copier.words, i64 {COPIER_WORDS.index("left")}
  %records = inttoptr i64 %out.first to ptr
  %file = trunc i64 %descriptor to i32
  %pollfds = inttoptr i64 %polled to ptr
  %events.at = getelementptr i8, ptr %pollfds, i64 6
  %wakes = getelementptr i8, ptr %pollfds, i64 {_POLLFD_BYTES}
  %clock.function = inttoptr i64 %clock to ptr
  br label %look
look:
  %told = call i32 %clock.function(i32 {_CLOCK_MONOTONIC}, ptr %seconds.place)
  %seconds = load i64, ptr %seconds.place
  %nanoseconds = load i64, ptr %nanoseconds.place
  %now.seconds = mul i64 %seconds, 1000000000
  %now = add i64 %now.seconds, %nanoseconds
  %remains = sub i64 %until, %now
  %enough = icmp sle i64 %remains, 0
  br i1 %enough, label %end, label %see
see:
  %number = load i64, ptr %next.place
  %distance = mul i64 %number, %block.bytes
  %block.first = add i64 %ring, %distance
  %block = inttoptr i64 %block.first to ptr
  %status.at = getelementptr i8, ptr %block, i64 {BLOCK_STATUS}
  %count.at = getelementptr i8, ptr %block, i64 {BLOCK_STATUS + 4}
  %first.at = getelementptr i8, ptr %block, i64 {BLOCK_STATUS + 8}
  %status = load atomic i32, ptr %status.at acquire, align 4
  %user = and i32 %status, {TP_STATUS_USER}
  %ready = icmp ne i32 %user, 0
  br i1 %ready, label %begin, label %wait
begin:
  %count = load i32, ptr %count.at
  %first = load i32, ptr %first.at
  %count.64 = zext i32 %count to i64
  %first.64 = zext i32 %first to i64
  %packet = add i64 %block.first, %first.64
  store i64 %packet, ptr %at.at
  store i64 %count.64, ptr %left.at
  br label %ask
ask:
  %asked = call i32 %poll.function(ptr %wakes, i64 1, i32 0)
  %nothing.else = icmp eq i32 %asked, 0
  br i1 %nothing.else, label %copy, label %leave
copy:
  store i64 %out.first, ptr %out.at
  call void %copier.function(ptr %copier.words)
  %out.last = load i64, ptr %out.at
  %bytes = sub i64 %out.last, %out.first
  %nothing = icmp eq i64 %bytes, 0
  br i1 %nothing, label %on, label %write.label
write.label:
  %got = call i64 %write.function(i32 %file, ptr %records, i64 %bytes)
  %whole = icmp eq i64 %got, %bytes
  br i1 %whole, label %wrote, label %short
wrote:
  %written.before = load i64, ptr %written.place
  %written.after = add i64 %written.before, %bytes
  store i64 %written.after, ptr %written.place
  br label %on
on:
  %left = load i64, ptr %left.at
  %over = icmp eq i64 %left, 0
  br i1 %over, label %release, label %ask
release:
  store i32 0, ptr %count.at
  store atomic i32 0, ptr %status.at release, align 4
  %number.1 = add i64 %number, 1
  %round = icmp eq i64 %number.1, %blocks
  %number.2 = select i1 %round, i64 0, i64 %number.1
  store i64 %number.2, ptr %next.place
  br label %look
wait:
  %remains.floor = udiv i64 %remains, 1000000
  %remains.ms = add i64 %remains.floor, 1
  %patience = trunc i64 %remains.ms to i32
  %happened = call i32 %poll.function(ptr %pollfds, i64 2, i32 %patience)
  %one = icmp eq i32 %happened, 1
  %events = load i16, ptr %events.at
  %packets = icmp eq i16 %events, {_POLLIN}
  %only = and i1 %one, %packets
  br i1 %only, label %look, label %end
short:
  %failed = icmp slt i64 %got, 0
  %part = select i1 %failed, i64 0, i64 %got
  store i64 %bytes, ptr %length.place
  store i64 %part, ptr %sent.place
  br label %leave
leave:
  store i64 1, ptr %rest.place
  br label %end
end:
  ret void
}}
attributes #0 = {{ nounwind "no-jump-tables"="true" }}
"""


def module() -> str:
    """Return the module."""
    loads = []
    for index, word in enumerate(WORDS):
        loads.append(f"  %{word}.place = getelementptr i64, ptr %state, i64 {index}")
        if word not in _CHANGED:
            loads.append(f"  %{word} = load i64, ptr %{word}.place")
    return _TEXT.replace("{loads}", "\n".join(loads))
