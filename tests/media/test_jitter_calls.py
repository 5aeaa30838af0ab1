"""Whatever comes and whatever is said: packets stay in their call, and cells come back."""

import struct
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from sipcore.media.control import Mode
from tests.media.net import Bench, describe, rtp

HOSTS = [(f"198.51.100.{n}", 4000 + n) for n in range(6)]  # two of each call
PAIRS = [(10000 + 4 * n, 10002 + 4 * n) for n in range(3)]
MODES: tuple[Mode, Mode] = ("buffer", "pass")
CELLS = 96


class Said(Struct, frozen=True):
    """What a packet has, and how far it is from the one before."""

    ssrc: int
    step: int
    ahead: int
    payload_type: int


numbers = st.integers(0, 2)
said = st.builds(
    Said,
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([1, 1, 1, 1, 0, -1, 2, 7, -60, 2999, 30000]),
    st.sampled_from([160, 160, 160, 0, -160, 480, 80000, 1 << 31]),
    st.sampled_from([0, 0, 0, 101, 97]),
)
where = st.sampled_from([None, None, None, None, 0, 1, 2])
VERBS = {
    "open": st.tuples(numbers, numbers, st.sampled_from(MODES)),
    "close": st.tuples(numbers),
    "replace": st.tuples(numbers, numbers, st.sampled_from(MODES)),
    "speak": st.tuples(numbers, st.integers(0, 1), where, st.lists(said, min_size=1, max_size=6)),
    "update": st.tuples(numbers, st.integers(0, 1), st.sampled_from(MODES), st.booleans()),
    "wait": st.tuples(st.sampled_from([0.001, 0.005, 0.005, 0.02, 0.07, 1.5])),
}
OFTEN = ["open", "open", "close", "replace", "replace", *["speak"] * 6, "update", *["wait"] * 4]
steps = st.sampled_from(OFTEN).flatmap(lambda verb: st.tuples(st.just(verb), VERBS[verb]))


@dataclass
class Stage:
    """A bench, who has which ports, and which packet was meant for whom."""

    bench: Bench = field(default_factory=lambda: Bench(rows=16, cells=CELLS))
    calls: dict[int, tuple[int, tuple[int, int]]] = field(default_factory=dict)
    meant: list[int] = field(default_factory=list)  # the life of a call, by packet
    lives: int = 0
    sequence: int = 65530
    stamp: int = 0

    def open(self, number: int, pair: int, mode: Mode) -> None:
        if number in self.calls or PAIRS[pair] in [ports for _, ports in self.calls.values()]:
            return
        self.lives += 1
        self.calls[number] = (self.lives, PAIRS[pair])
        a, b = HOSTS[2 * number : 2 * number + 2]
        self.bench.open(str(number), a, b, PAIRS[pair], mode=mode)

    def close(self, number: int) -> None:
        if self.calls.pop(number, None) is not None:
            self.bench.close(str(number))

    def replace(self, number: int, other: int, mode: Mode) -> None:
        """End a call, and have another on its ports and rows at once."""
        if number in self.calls:
            pair = PAIRS.index(self.calls[number][1])
            self.close(number)
            self.open(other, pair, mode)

    def speak(self, number: int, side: int, where: int | None, words: list[Said]) -> None:
        """Let a host of call `number` speak to its own port, or to one of call `where`."""
        called = number if where is None else where
        if called not in self.calls:
            return
        life, ports = self.calls[called]
        for one in words:
            self.sequence += one.step
            self.stamp += one.ahead
            packet = rtp(self.sequence, self.stamp, one.ssrc, one.payload_type, size=0)
            packet += struct.pack(">I", len(self.meant))
            self.meant.append(life if called == number else 0)
            self.bench.wire.deliver(HOSTS[2 * number + side], ports[side], packet)

    def update(self, number: int, side: int, mode: Mode, is_moved: bool) -> None:
        if number in self.calls:
            address, port = HOSTS[2 * number + side]
            told = describe(side, (address, port + 100 * is_moved), mode=mode)
            self.bench.update(str(number), told)

    def wait(self, seconds: float) -> None:
        self.bench.wait(seconds)

    def check(self) -> None:
        for port, (address, _), packet in self.bench.wire.take_sent():
            if port % 2:
                continue  # RTCP
            life, ports = next(one for one in self.calls.values() if port in one[1])
            number = next(n for n, one in self.calls.items() if one[0] == life)
            assert self.meant[struct.unpack(">I", packet[-4:])[0]] == life
            assert address == HOSTS[2 * number + ports.index(port)][0]


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, min_size=20, max_size=60))
def test_no_packet_of_one_call_ever_leaves_on_another(story: list[tuple[str, Any]]) -> None:
    """Calls come and go on the same ports and rows; what waits when one closes is never heard."""
    stage = Stage()
    for verb, what in story:
        getattr(stage, verb)(*what)
        stage.check()
    stage.wait(1)
    stage.check()
    for number in list(stage.calls):
        stage.close(number)
    stage.wait(1)
    assert stage.bench.wire.batch.free_count == CELLS
