"""The journal: what was synced survives anything, and a full disk hurts nobody."""

import asyncio
import errno
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sipcore.cdr.entry import segments
from sipcore.cdr.export import read_cdrs
from sipcore.cdr.journal import (
    Alive,
    Answered,
    Bounds,
    Ended,
    InlineJournal,
    Journal,
    JournalError,
    close_interrupted,
    recover,
)
from sipcore.metrics import Metrics
from tests.cdr.samples import NOON, answered_call
from tests.disk import disk_of


def newest(folder: Path) -> Path:
    return segments(folder)[-1][1]


def fault_of(journal: Journal) -> str | None:
    return journal.fault


def value(metrics: Metrics, name: str) -> float:
    samples = (s for family in metrics.snapshot() for s in family.samples)
    return sum(s.value for s in samples if s.name == name)


async def test_a_synced_answer_is_on_disk_while_the_journal_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Metrics())
    journal.start()
    journal.append(Answered(answered_call(1)))
    await journal.sync()
    assert [one.answered.cdr.id for one in recover(tmp_path).open] == [answered_call(1).id]
    await journal.close()


async def test_sync_with_nothing_to_write_returns_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Metrics())
    journal.start()
    await journal.sync()
    await journal.close()


async def test_many_waiters_share_one_write(tmp_path: Path) -> None:
    metrics = Metrics()
    journal = Journal(tmp_path, metrics)
    journal.start()

    async def answer(number: int) -> None:
        journal.append(Answered(answered_call(number)))
        await journal.sync()

    await asyncio.gather(*(answer(number) for number in range(200)))
    assert value(metrics, "sipcore_journal_sync_seconds_count") == 1
    assert len(recover(tmp_path).open) == 200
    await journal.close()


async def test_a_line_nobody_waits_for_is_written_soon(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Metrics())
    journal.start()
    journal.append(Ended(answered_call(1)))
    for _ in range(200):
        if list(read_cdrs(tmp_path)):
            break
        await asyncio.sleep(0.01)
    assert [cdr.id for cdr in read_cdrs(tmp_path)] == [answered_call(1).id]
    await journal.close()


async def test_a_line_that_follows_a_group_is_written_soon_by_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Metrics())
    journal.start()
    journal.append(Ended(answered_call(1)))  # from here on lines gather
    await journal.sync()
    journal.append(Ended(answered_call(2)))  # and nobody waits for this one
    for _ in range(1000):
        if len(list(read_cdrs(tmp_path))) == 2:
            break
        await asyncio.sleep(0.01)
    assert len(list(read_cdrs(tmp_path))) == 2
    await journal.close()


def test_a_call_whose_end_nobody_saw_ends_at_its_last_proof_of_life(tmp_path: Path) -> None:
    journal = InlineJournal(tmp_path, Metrics())
    journal.start()
    cdr = answered_call(1)
    journal.append(Answered(cdr))
    journal.append(Alive(NOON + 40, {cdr.id: NOON + 33.25, "unknown": NOON}))
    [call] = recover(tmp_path).open
    whole = close_interrupted(call)
    assert (whole.ended_at, whole.talked_s) == (NOON + 33.25, 31.25)
    assert (whole.ended_by, whole.inferred_end, whole.q850_cause) == ("node", True, 41)


def test_a_call_without_proof_of_life_ends_when_it_was_answered(tmp_path: Path) -> None:
    journal = InlineJournal(tmp_path, Metrics())
    journal.start()
    journal.append(Answered(answered_call(1)))
    whole = close_interrupted(recover(tmp_path).open[0])
    assert (whole.ended_at, whole.talked_s) == (NOON + 2, 0)


def test_a_second_crash_before_the_end_is_written_finds_the_call_again(tmp_path: Path) -> None:
    first = InlineJournal(tmp_path, Metrics())
    first.start()
    cdr = answered_call(1)
    first.append(Answered(cdr))
    first.append(Alive(NOON + 9, {cdr.id: NOON + 9}))
    InlineJournal(tmp_path, Metrics(), recover(tmp_path)).start()
    [call] = recover(tmp_path).open
    assert call.proof_at == NOON + 9
    third = InlineJournal(tmp_path, Metrics(), recover(tmp_path))
    third.start()
    third.append(Ended(close_interrupted(call)))
    assert recover(tmp_path).open == ()
    assert [one.id for one in read_cdrs(tmp_path)] == [cdr.id]


def test_restarts_without_calls_leave_one_segment(tmp_path: Path) -> None:
    for _ in range(3):
        InlineJournal(tmp_path, Metrics(), recover(tmp_path)).start()
    assert len(segments(tmp_path)) == 1


def test_a_torn_last_line_and_a_bad_checksum_are_counted_and_passed_over(tmp_path: Path) -> None:
    journal = InlineJournal(tmp_path, Metrics())
    journal.start()
    for number in range(3):
        journal.append(Answered(answered_call(number)))
    file = newest(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1].replace(b"phone", b"phony") + lines[2][:50])
    recovery = recover(tmp_path)
    assert ([one.answered.cdr for one in recovery.open], recovery.torn) == ([answered_call(0)], 2)


def test_a_new_segment_begins_with_what_is_open(tmp_path: Path) -> None:
    journal = InlineJournal(tmp_path, Metrics(), bounds=Bounds(segment_bytes=2000))
    journal.start()
    long_call = answered_call(0)
    journal.append(Answered(long_call))
    journal.append(Alive(NOON, {long_call.id: NOON + 7}))
    for number in range(1, 60):
        journal.append(Answered(answered_call(number)))
        journal.append(Ended(answered_call(number)))
    assert len(segments(tmp_path)) > 3
    [call] = recover(tmp_path).open
    assert (call.answered.cdr, call.proof_at) == (long_call, NOON + 7)
    assert len(list(read_cdrs(tmp_path))) == 59


async def is_well(journal: Journal) -> None:
    """Wait until the disk takes the journal again; the test's time limit ends it."""
    while fault_of(journal) is not None:  # noqa: ASYNC110 - the disk has no event
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("takes", [0, 50])  # bytes of the next line
async def test_a_full_disk_refuses_those_who_wait_and_loses_nothing(
    tmp_path: Path, takes: int
) -> None:
    metrics = Metrics()
    journal = Journal(tmp_path, metrics, bounds=Bounds(retry_s=0.01))
    journal.start()
    journal.append(Answered(answered_call(1)))
    await journal.sync()
    with disk_of(newest(tmp_path).stat().st_size + takes):
        journal.append(Answered(answered_call(2)))
        with pytest.raises(JournalError, match="File too large"):
            await journal.sync()
        assert fault_of(journal) is not None
        journal.append(Ended(answered_call(1)))
        with pytest.raises(JournalError):
            await journal.sync()
    await is_well(journal)
    await journal.sync()
    assert value(metrics, "sipcore_journal_errors_total") >= 1
    assert [one.id for one in read_cdrs(tmp_path)] == [answered_call(1).id]
    left = recover(tmp_path)
    assert ([one.answered.cdr for one in left.open], left.torn) == ([answered_call(2)], 0)
    await journal.close()


async def test_a_new_segment_that_cannot_be_begun_is_tried_again_and_nothing_stands_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync is replaced, for no file system at hand fails in it alone."""
    journal = Journal(tmp_path, Metrics(), bounds=Bounds(segment_bytes=1, retry_s=0.01))
    journal.start()
    journal.append(Ended(answered_call(1)))
    await journal.sync()
    fsync, failures = os.fsync, iter([False, True])  # the file's passes, the folder's fails

    def fail_once(fd: int) -> None:
        if next(failures, False):
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail_once)
    for number in range(2, 8):
        journal.append(Ended(answered_call(number)))
    with pytest.raises(JournalError, match="Input/output error"):
        await journal.sync()
    await is_well(journal)
    await journal.close()
    assert sorted(cdr.id for cdr in read_cdrs(tmp_path)) == [
        answered_call(number).id for number in range(1, 8)
    ]
    assert len(segments(tmp_path)) == 3  # the empty first one, two with lines


async def test_a_disk_that_hangs_refuses_those_who_wait_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pwrite is replaced, for no disk at hand hangs."""
    hang, write = threading.Event(), os.pwrite

    def pwrite(fd: int, content: Any, at: int) -> int:
        hang.wait(10)
        return write(fd, content, at)

    journal = Journal(tmp_path, Metrics(), bounds=Bounds(patience_s=0.05))
    hang.set()
    journal.start()
    monkeypatch.setattr(os, "pwrite", pwrite)
    hang.clear()
    journal.append(Answered(answered_call(1)))
    with pytest.raises(JournalError, match="has not answered"):
        await asyncio.wait_for(journal.sync(), 5)
    hang.set()
    await is_well(journal)
    await journal.close()
    assert len(recover(tmp_path).open) == 1


async def test_closing_on_a_full_disk_says_that_lines_are_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Metrics())
    journal.start()
    journal.append(Answered(answered_call(1)))
    with disk_of(0), pytest.raises(JournalError):
        await journal.close()


async def test_while_the_disk_is_full_only_unanswered_attempts_are_ever_given_up(
    tmp_path: Path,
) -> None:
    metrics = Metrics()
    journal = InlineJournal(tmp_path, metrics, bounds=Bounds(keep_bytes=0))
    journal.start()
    journal.refuse = "full"
    journal.append(Answered(answered_call(1)))
    journal.append(Ended(replace(answered_call(2), answered_at=None, sip_status=486)))
    journal.append(Ended(answered_call(1)))
    journal.refuse = None
    journal.append(Alive(NOON, {}))
    assert [one.id for one in read_cdrs(tmp_path)] == [answered_call(1).id]
    assert value(metrics, "sipcore_journal_dropped_total") == 2  # the refused attempt, Alive


@dataclass(slots=True)
class Played:
    """What one run of a script appended, and what of it was on disk when the last sync returned."""

    segment: Path
    answers: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    synced_answers: list[str] = field(default_factory=list)
    synced_ends: list[str] = field(default_factory=list)
    durable_bytes: int = 0

    def note_synced(self, folder: Path) -> None:
        self.synced_answers, self.synced_ends = list(self.answers), list(self.ends)
        self.segment = newest(folder)
        self.durable_bytes = self.segment.stat().st_size


async def play(folder: Path, script: list[str], segment_bytes: int) -> Played:
    journal = Journal(folder, Metrics(), bounds=Bounds(segment_bytes))
    journal.start()
    played = Played(newest(folder))
    talking: list[int] = []
    for number, step in enumerate(script):
        cdr = answered_call(number)
        match step:
            case "answer":
                journal.append(Answered(cdr))
                talking.append(number)
                played.answers.append(cdr.id)
            case "end" if talking:
                ended = replace(answered_call(talking.pop(0)), ended_at=NOON + number)
                journal.append(Ended(ended))
                played.ends.append(ended.id)
            case "refuse":
                journal.append(Ended(replace(cdr, answered_at=None)))
                played.ends.append(cdr.id)
            case "alive":
                journal.append(Alive(NOON, {answered_call(one).id: NOON + 5 for one in talking}))
            case "sync":
                await journal.sync()
                played.note_synced(folder)
            case _:
                await asyncio.sleep(0)
    await journal.close()
    return played


steps = st.lists(st.sampled_from(["answer", "end", "refuse", "alive", "sync", "yield"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.integers(300, 3000), st.floats(0, 1))
def test_whatever_was_synced_survives_a_cut_at_any_byte(
    tmp_path_factory: pytest.TempPathFactory, script: list[str], segment_bytes: int, cut: float
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    played = asyncio.run(play(folder, script, segment_bytes))
    if played.segment == newest(folder):  # a newer one was synced whole when it was begun
        loose_bytes = played.segment.stat().st_size - played.durable_bytes
        os.truncate(played.segment, played.durable_bytes + int(loose_bytes * cut))
    recovery = recover(folder)
    found = {cdr.id for cdr in read_cdrs(folder)}
    assert set(played.synced_ends) <= found
    assert set(played.synced_answers) <= found | {one.answered.cdr.id for one in recovery.open}
    assert recovery.torn <= 1
    after = InlineJournal(folder, Metrics(), recovery)
    after.start()
    for one in recovery.open:
        after.append(Ended(close_interrupted(one)))
    cdrs = [cdr.id for cdr in read_cdrs(folder)]
    assert len(cdrs) == len(set(cdrs))
    assert set(played.synced_answers) <= set(cdrs)
    assert recover(folder).open == ()


def test_any_bytes_are_recovered_from_without_raising(tmp_path: Path) -> None:
    (tmp_path / "journal-000001.jsonl").write_bytes(b"\xff\n\n00000000 {}\ntorn")
    recovery = recover(tmp_path)
    assert (recovery.open, recovery.torn) == ((), 4)
    assert list(read_cdrs(tmp_path)) == []


def test_a_folder_that_is_not_there_is_an_empty_journal(tmp_path: Path) -> None:
    assert recover(tmp_path / "none").open == ()
    assert list(read_cdrs(tmp_path / "none")) == []
