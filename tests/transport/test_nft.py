"""Bans given to the nft command: a script in its place keeps what it is told."""

import logging
from pathlib import Path

import pytest

from sipcore.transport.bans import Ban
from sipcore.transport.nft import Firewall
from tests.transport.conftest import Run

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
        firewall = Firewall([5061, 5060, 5060], command(tmp_path))
        assert await firewall.start()
        firewall.ban(BAN)
        firewall.ban(BAN6)
        await firewall.idle()
        firewall.lift(BAN)
        await firewall.close()

    run(main())
    table, bans, lifted, end = said(tmp_path)
    assert table.startswith("add table inet sipcore\ndelete table inet sipcore\n")
    assert table.count("th dport { 5060, 5061 }") == 2
    assert bans.splitlines() == [
        "add element inet sipcore ban4 { 203.0.113.9 timeout 60s }",
        "add element inet sipcore ban6 { 2001:db8::/64 timeout 240s }",
    ]
    assert lifted.splitlines()[-1] == "delete element inet sipcore ban4 { 203.0.113.9 }"
    assert end == "delete table inet sipcore"


def test_without_nft_bans_stay_in_process_and_that_is_said_once(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        firewall = Firewall([5060], str(tmp_path / "missing"))
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
        firewall = Firewall([5060], command(tmp_path, fails_at="203.0.113.9"))
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
