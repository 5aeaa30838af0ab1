"""Bans given to the nft command: a script in its place keeps what it is told."""

import logging
from pathlib import Path

import pytest

from sipcore.message.flow import Flow
from sipcore.transport.bans import Ban
from sipcore.transport.guard import Guard, Rates
from sipcore.transport.nft import BURST_S, Firewall, Wall
from tests.transport import kernel
from tests.transport.conftest import Run

WALL = Wall(frozenset((5061, 5060)))
BAN = Ban("203.0.113.9", "scanner", 1000.0, 1060.0, 1)
BAN6 = Ban("2001:db8::/64", "flood", 1000.0, 1240.0, 2)


def command(folder: Path, *, fails_at: str = "nothing of the kind") -> str:
    """Write an `nft` that keeps its input, and refuses input with a certain word."""
    path = folder / "nft"
    path.write_text(
        "#!/bin/sh\n"
        f'text=$(cat)\nprintf "%s\\n--\\n" "$text" >> "{folder}/said"\n'
        f'case "$text" in *"{fails_at}"*) echo "Operation not permitted" >&2; exit 1;; esac\n'
    )
    path.chmod(0o755)
    return str(path)


def said(folder: Path) -> list[str]:
    return (folder / "said").read_text().split("\n--\n")[:-1]


def test_a_table_of_its_own_is_made_filled_and_taken_away(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        firewall = Firewall(WALL, command(tmp_path))
        assert await firewall.start()
        firewall.ban(BAN)
        firewall.ban(BAN6)
        await firewall.idle()
        firewall.lift(BAN)
        await firewall.close()

    run(main())
    table, bans, lifted, end = said(tmp_path)
    assert table.startswith("add table inet sipcore\ndelete table inet sipcore\n")
    assert table.count("th dport { 5060, 5061 }") == 3
    assert "limit rate" not in table
    assert bans.splitlines()[2::3] == [
        "add element inet sipcore ban4 { 203.0.113.9 timeout 60s }",
        "add element inet sipcore ban64 { 2001:db8:: timeout 240s }",
    ]
    assert lifted.splitlines()[-1] == "delete element inet sipcore ban4 { 203.0.113.9 }"
    assert end == "delete table inet sipcore"


def test_without_nft_bans_stay_in_process_and_that_is_said_once(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        firewall = Firewall(WALL, str(tmp_path / "missing"))
        assert not await firewall.start()
        for _ in range(3):
            firewall.ban(BAN)
        await firewall.close()

    run(main())
    assert [one.levelno for one in caplog.records] == [logging.WARNING]


def test_an_nft_that_begins_to_refuse_is_told_to_shut_out_nobody_and_no_more(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        firewall = Firewall(WALL, command(tmp_path, fails_at="203.0.113.9"))
        assert await firewall.start()
        firewall.ban(BAN)
        await firewall.idle()
        firewall.ban(BAN6)
        await firewall.close()

    run(main())
    *_, refused, end = said(tmp_path)
    assert "203.0.113.9" in refused
    assert end == "delete table inet sipcore"
    (record,) = caplog.records
    assert "Operation not permitted" in record.getMessage()


def test_the_kernel_drops_what_a_source_sends_beyond_a_rate_and_forgets_it_at_the_end() -> None:
    came = kernel.in_a_network_of_its_own()
    burst, busy_burst = kernel.WALL.messages_per_s * BURST_S, kernel.WALL.busy_per_s * BURST_S
    for peer in (kernel.PEER, kernel.PEER6, "other port"):
        assert came[peer] == kernel.FLOOD
    for busy in (kernel.BUSY, kernel.BUSY6):
        assert busy_burst <= came[busy] < kernel.FLOOD
    assert burst <= came[kernel.STRANGER] < busy_burst
    assert burst <= came[kernel.STRANGER6] + came[kernel.NEIGHBOUR6] < busy_burst  # one /64
    assert came[kernel.BANNED] == came[kernel.BANNED6] == came[kernel.BANNED_HOST6] == 0
    assert came["tables"] == 0


def test_a_busy_source_that_is_known_is_told_to_the_kernel_now_and_then() -> None:
    said: list[str] = []
    one = Guard(lambda address: address == "198.51.100.1", Rates(messages_per_s=10))
    one.busy = said.append
    for now in range(1000, 1010):
        for address in ("198.51.100.1", "203.0.113.9"):
            flow = Flow("udp", "10.0.0.1", 5060, address, 5060)
            one.sift([(b"x", flow)] * 10_000, float(now))
    assert said == ["198.51.100.1"]


def test_a_known_source_that_is_not_busy_is_not_told_to_the_kernel() -> None:
    said: list[str] = []
    one = Guard(lambda address: True, Rates(messages_per_s=10))
    one.busy = said.append
    flow = Flow("udp", "10.0.0.1", 5060, "198.51.100.1", 5060)
    for now in range(1000, 2000):
        one.sift([(b"x", flow)], float(now))
    assert said == []


def test_a_known_source_that_becomes_busy_is_told_to_the_kernel_within_the_second() -> None:
    said: list[float] = []
    one = Guard(lambda address: True, Rates(messages_per_s=10, known_messages_per_s=1000))
    flow = Flow("udp", "10.0.0.1", 5060, "198.51.100.1", 5060)
    for tenth in range(10_000, 21_000):  # as many as a stranger may send, for long
        one.sift([(b"x", flow)], tenth / 10)
    one.busy = lambda source: said.append(tenth / 10)
    for tenth in range(21_000, 21_100):  # as many as the kernel lets through
        one.sift([(b"x", flow)] * 10, tenth / 10)
    assert said
    assert said[0] <= 2101.0


def test_a_known_source_has_all_of_its_burst_though_it_is_given_in_parts() -> None:
    one = Guard(lambda address: True, Rates(messages_per_s=10, known_messages_per_s=1000))
    flow = Flow("udp", "10.0.0.1", 5060, "198.51.100.1", 5060)
    one.sift([(b"x", flow)], 1000.0)
    came = one.sift([(b"x", flow)] * 20_000, 2000.0)
    assert 5 * 1000 <= len(came) <= 5 * 1000 + 5 * 10
