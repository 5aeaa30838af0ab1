"""Recordings that end badly: a full disk, a slow one, a worker that dies, a file left behind."""

import asyncio
import fcntl
import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from sipcore.media import staging, wav
from sipcore.media.control import Record
from sipcore.media.recorder import InlineRecorder, Recorder
from sipcore.media.salvaging import Salvaging
from sipcore.media.staging import salvage, staged_names
from tests.disk import disk_of
from tests.media.net import FakeClock
from tests.media.tape import CODECS, NAME, SIZE, Packet, Tape, read, stream

LOUD = b"\x80" * SIZE  # 32124 in mu-law
OTHER = "2026/11/18/other.wav"


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    tape = Tape(tmp_path)
    tape.begin(tape.clock.wall_s())
    return tape


def talk(tape: Tape, seconds: float, row: int = 3) -> None:
    """Let a side speak, a packet each 20 ms."""
    first_at = tape.clock.now
    for packet in stream(row, first_at, [LOUD] * round(seconds * 50), int(first_at * 8000)):
        tape.clock.now = packet.play_at
        tape.hear(packet)
        tape.recorder.tick(tape.clock.now)
    tape.clock.now = first_at + seconds


def staged(tape: Tape) -> Path:
    return staging.staged(tape.folder, tape.name)


def loud(file: Path, channel: int = 0) -> list[tuple[int, int]]:
    """Return where a channel is loud: (begin, end) in frames."""
    is_loud = np.concatenate(([0], read(file)[:, channel] == 32124, [0]))
    edges = np.flatnonzero(np.diff(is_loud))
    return [(begin, end) for begin, end in edges.reshape(-1, 2).tolist()]


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_digest_is_that_of_the_file(tape: Tape) -> None:
    talk(tape, 2)
    assert tape.end().sha256 == digest(tape.folder / NAME)


def test_the_staged_file_opens_at_any_time_and_lacks_less_than_a_second(tape: Tape) -> None:
    for _ in range(40):
        talk(tape, 0.3)
        age = (tape.clock.now - tape.began_at) * wav.RATE
        assert age - wav.RATE < len(read(staged(tape))) <= age
    assert loud(staged(tape))[0][0] == 0


def test_a_full_disk_ends_the_recording_and_says_so_once(
    tape: Tape, caplog: pytest.LogCaptureFixture
) -> None:
    tape.recorder.begin(Record("two", OTHER, CODECS), {"a": 7, "b": 8}, tape.clock.now)
    talk(tape, 2)
    with disk_of(100_000):
        talk(tape, 3)
    talk(tape, 3)
    counts = tape.recorder.counts()
    assert counts["recordings_stopped"] == 2
    assert [one.levelno for one in caplog.records] == [logging.ERROR]
    recorded = tape.end()
    assert (recorded.is_degraded, recorded.sha256) == (True, digest(tape.folder / NAME))
    assert 2 * 8000 < len(tape.sound()) <= (100_000 - 44) // 4
    assert len(loud(tape.folder / NAME)) == 1
    assert tape.recorder.counts()["recordings_degraded"] == 1


def test_after_a_full_disk_the_next_recording_is_tried_again(tape: Tape) -> None:
    with disk_of(1000):
        talk(tape, 1)
    tape.recorder.begin(Record("two", OTHER, CODECS), {"a": 7, "b": 8}, tape.clock.now)
    talk(tape, 1, 7)
    tape.recorder.end("two", tape.clock.now)
    told = tape.recorder.poll()
    assert told is not None
    assert not told.is_degraded
    assert loud(tape.folder / OTHER) == [(0, 8000)]


def test_a_folder_that_cannot_be_made_costs_the_recording_only(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("no folder")
    tape = Tape(tmp_path / "recordings")
    tape.begin()
    talk(tape, 1)
    assert tape.end().is_degraded
    assert tape.recorder.counts()["recordings_stopped"] == 1


def test_a_file_of_another_process_is_not_written(tape: Tape) -> None:
    file = staging.staged(tape.folder, OTHER)
    file.write_bytes(b"")
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        tape.recorder.begin(Record("two", OTHER, CODECS), {"a": 7, "b": 8}, tape.clock.now)
        talk(tape, 1, 7)
        assert salvage(tape.folder, OTHER) == ""
    assert file.read_bytes() == b""
    assert tape.recorder.counts()["recordings_stopped"] == 1


def test_what_the_writer_cannot_keep_up_with_is_dropped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    tape = Tape(tmp_path, InlineRecorder(tmp_path, clock, most_octets=3000))
    tape.begin()
    packets = stream(3, tape.began_at, [LOUD] * 50)
    for packet in packets:
        tape.hear(packet)
    tape.recorder.tick(tape.began_at + 1)
    tape.hear(Packet(3, tape.began_at + 1, 8000, LOUD))
    tape.clock.now += 2
    assert tape.end().is_degraded
    [(begin, end), last] = loud(tmp_path / NAME)
    assert (begin, last) == (0, (8000, 8160))
    assert 160 < end < 50 * 160
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1


def test_threads_write_the_same_file(tmp_path: Path) -> None:
    tape = Tape(tmp_path, Recorder(tmp_path, FakeClock()))
    tape.begin()
    talk(tape, 3)
    tape.hear(Packet(4, tape.clock.now - 1, 0, b"\1" * 20, 18))
    tape.recorder.close(tape.clock.now)
    told = tape.recorder.poll()
    assert told is not None
    assert (told.is_degraded, told.sha256) == (False, digest(tmp_path / NAME))
    assert loud(tmp_path / NAME) == [(0, 24_000)]
    assert (tmp_path / NAME).with_name("0123.b.rtpdump").exists()


def test_another_worker_goes_on_in_the_file_of_a_dead_one_at_its_place(tape: Tape) -> None:
    started_at = tape.clock.wall_s()
    talk(tape, 5)
    tape.hear(Packet(4, tape.clock.now, 0, b"\1" * 20, 18))
    tape.recorder.tick(tape.clock.now + 0.5)
    heir = Tape(tape.folder, InlineRecorder(left_by_a_dead_worker(tape), tape.clock))
    heir.clock = tape.clock
    heir.folder = tape.folder.with_name("heir")
    tape.clock.now += 2.5
    heir.begin(started_at)
    talk(heir, 4, 3)
    heir.hear(Packet(4, heir.clock.now, 0, b"\2" * 20, 18))
    heir.wait(1)
    recorded = heir.end()
    assert (recorded.is_degraded, recorded.sha256) == (True, digest(heir.folder / NAME))
    assert loud(heir.folder / NAME) == [(0, 40_000), (60_000, 92_000)]
    kept = (heir.folder / NAME).with_name("0123.b.rtpdump").read_bytes()
    assert (kept.count(b"#!rtp"), kept.count(b"\1" * 20), kept.count(b"\2" * 20)) == (1, 1, 1)


def left_by_a_dead_worker(tape: Tape) -> Path:
    """Return a folder as a worker leaves it that is killed now: nobody holds its locks."""
    heir = tape.folder.with_name("heir")
    for file in tape.folder.rglob("*.part"):
        copy = heir / file.relative_to(tape.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return heir


@pytest.mark.parametrize("off_s", [-3600.0, 7200.0])
def test_a_clock_that_was_set_in_between_moves_nothing(tape: Tape, off_s: float) -> None:
    talk(tape, 5)
    tape.recorder.tick(tape.clock.now + 0.5)
    heir = Tape(left_by_a_dead_worker(tape))
    heir.begin(heir.clock.wall_s() - off_s)
    talk(heir, 1)
    heir.end()
    [(first, _), *_] = loud(heir.folder / NAME)
    assert first == 0
    assert 5.5 * 8000 <= len(heir.sound()) <= 7 * 8000


def test_a_recording_that_a_stopping_worker_finished_goes_on_in_the_next(tape: Tape) -> None:
    started_at = tape.clock.wall_s()
    talk(tape, 2)
    tape.recorder.close(tape.clock.now)
    heir = Tape(tape.folder, InlineRecorder(tape.folder, tape.clock))
    heir.clock = tape.clock
    heir.begin(started_at)
    talk(heir, 2)
    heir.end()
    assert loud(tape.folder / NAME) == [(0, 4 * 8000)]


def salvage_all(folder: Path) -> dict[str, str]:
    """Finish everything that was left behind; return {name: SHA-256} of what could be."""
    digests = {name: salvage(folder, name) for name in staged_names(folder)}
    return {name: digest for name, digest in digests.items() if digest}


def test_what_was_left_behind_is_finished(tape: Tape) -> None:
    talk(tape, 3.1)
    tape.hear(Packet(4, tape.clock.now, 0, b"\1" * 20, 18))
    tape.recorder.tick(tape.clock.now + 0.5)
    folder = left_by_a_dead_worker(tape)
    with staging.staged(folder, NAME).open("ab") as file:
        file.write(b"\1\2\3\4\5\6")  # a frame that the header does not know, and half of one
    assert salvage_all(folder) == {NAME: digest(folder / NAME)}
    assert loud(folder / NAME) == [(0, 24_800)]
    assert read(folder / NAME)[-1].tolist() == [0x0201, 0x0403]
    assert (folder / NAME).with_name("0123.b.rtpdump").exists()
    assert salvage_all(folder) == {}
    assert salvage(folder, NAME) == digest(folder / NAME)
    assert list((folder / "open").iterdir()) == []


def test_a_recording_that_is_being_written_is_not_salvaged(tape: Tape) -> None:
    talk(tape, 2)
    assert salvage_all(tape.folder) == {}
    assert salvage(tape.folder, NAME) == ""
    assert salvage(tape.folder, OTHER) == ""
    talk(tape, 1)
    assert not tape.end().is_degraded
    assert loud(tape.folder / NAME) == [(0, 24_000)]


@pytest.mark.parametrize("octets", [b"", b"RIFF", b"\0" * 44])
def test_a_file_that_was_hardly_begun_becomes_an_empty_one(tmp_path: Path, octets: bytes) -> None:
    file = staging.staged(tmp_path, NAME)
    file.parent.mkdir()
    file.write_bytes(octets)
    assert salvage_all(tmp_path) == {NAME: digest(tmp_path / NAME)}
    assert len(read(tmp_path / NAME)) == 0


def test_without_a_recordings_folder_nothing_is_left(tmp_path: Path) -> None:
    assert salvage_all(tmp_path / "none") == {}


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for number in range(3):
        tape = Tape(tmp_path, name=f"2026/11/18/{number}.wav")
        tape.begin()
        tape.hear(Packet(4, tape.clock.now, 0, b"\1" * 20, 18))
        tape.wait(1)
        tape.end()
        salvage(tmp_path, tape.name)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_who_asks_for_a_recording_that_is_just_being_finished_gets_its_digest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        salvaging = Salvaging(tmp_path)
        everything = asyncio.create_task(salvaging.finish_all(staged_names(tmp_path)))
        asked = [asyncio.create_task(salvaging.finish(NAME)) for _ in range(8)]
        digests = {await one for one in asked}
        await everything
        assert digests == {digest(tmp_path / NAME)}
        assert await salvaging.finish(NAME) in digests

    file = staging.staged(tmp_path, NAME)
    file.parent.mkdir()
    file.write_bytes(b"\1\2" * 4_000_000)
    asyncio.run(main())
    (said,) = caplog.messages
    assert digest(tmp_path / NAME) in said
