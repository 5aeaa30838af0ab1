"""Recorded calls of real phones: who is on which channel, and what kill -9 leaves of the file."""

import hashlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sipcore.media.g711 import A_LAW, LINEAR
from tests.interop.baresips import DESK_HZ, WORKSHOP_HZ, two_baresips
from tests.interop.clients.baresip import Baresip
from tests.interop.devices import Devices
from tests.interop.node import Node, Row
from tests.interop.rtp import SAMPLES
from tests.interop.talking import talk
from tests.interop.tones import RATE, share
from tests.interop.town import WORKSHOP, Town
from tests.interop.waiting import stays
from tests.media.tape import Sound, read

TALK_S = 4.0
LACKS_S = 1.0  # what a kill -9 may cost
SLACK_S = 0.3  # between what a test does and when it knows


@pytest.fixture
def recorded(node: Node, town: Town) -> Node:
    """A node on which the desk's calls are recorded."""
    name = 'name = "Front desk"'
    node.import_(town.provisioning().replace(name, f"{name}\nrecord = true"))
    return node


@pytest.fixture
def phones(tmp_path: Path, recorded: Node) -> Iterator[tuple[Baresip, Baresip]]:
    with two_baresips(tmp_path, recorded) as both:
        yield both


def test_each_phone_has_its_channel(recorded: Node, phones: tuple[Baresip, Baresip]) -> None:
    desk, workshop = phones
    desk.tell("dial", f"sip:{WORKSHOP.user}@{WORKSHOP.domain}")
    desk.wait_for("CALL_ESTABLISHED")
    workshop.wait_for("CALL_ESTABLISHED")
    stays("the call is up", lambda: len(recorded.show("calls")) == 1, TALK_S)
    desk.tell("hangup")
    workshop.wait_for("CALL_CLOSED")

    cdr = recorded.only_cdr()
    assert cdr["recording_degraded"] is False
    sound = finished(recorded, cdr)
    assert len(sound) == pytest.approx(cdr["talked_s"] * RATE, abs=0.1 * RATE)
    for channel, plays, hears in ((0, DESK_HZ, WORKSHOP_HZ), (1, WORKSHOP_HZ, DESK_HZ)):
        samples = sound[:, channel].astype(np.float64)
        middle = samples[RATE // 2 : -RATE // 2]
        assert np.abs(middle).max() > 8000
        assert share(middle, plays) > 0.95
        assert share(middle, hears) < 0.001


def test_both_ends_are_aligned(recorded: Node, devices: Devices) -> None:
    with talk(devices) as up:
        stays("they talk", recorded.pids, 1.0)
        up.fall_silent()  # one after the other
        stays("they are silent", recorded.pids, 1.0)
        apart_s = up.stopped_at[0] - up.stopped_at[1]
        recorded.kill(role="signalling")
        cdr = recorded.only_cdr(10)
    ends = [int(np.flatnonzero(channel)[-1]) for channel in finished(recorded, cdr).T]
    # What comes late is heard late, and recorded where it was heard.
    assert (ends[0] - ends[1]) / RATE == pytest.approx(apart_s, abs=0.04 + up.late_s)


def test_what_was_said_is_there_to_the_sample(recorded: Node, devices: Devices) -> None:
    with talk(devices, 4000) as up:
        up.phone.ends_well()
        up.carrier.ends_well()
    channels = finished(recorded, recorded.only_cdr()).T
    for channel in channels:
        packets = whole_packets(channel)
        assert len(packets) > 3 * 50 * 0.95  # the machine is busy: a few came too late
        assert (np.diff(packets) % 128 == 1).mean() > 0.95


def whole_packets(channel: Sound) -> list[int]:
    """Return the numbers of the packets that a channel holds, each 160 equal samples."""
    codes = {int(sample): code for code, sample in enumerate(LINEAR[A_LAW].tolist())}
    edges = np.flatnonzero(np.diff(channel)) + 1
    runs = zip([0, *edges.tolist()], [*edges.tolist(), len(channel)], strict=True)
    return [
        codes[int(channel[begin])] & 0x7F
        for begin, end in runs
        if channel[begin] and end - begin == SAMPLES
    ]


def test_the_media_worker_is_killed_in_a_recorded_call(recorded: Node, devices: Devices) -> None:
    with talk(devices, 6000) as up:
        stays("they talk", recorded.pids, 3.0)
        killed_at = time.time()
        recorded.kill(role="media-0")
        up.phone.ends_well()
        cdr = recorded.only_cdr()
    assert cdr["recording_degraded"] is True
    sound = finished(recorded, cdr)
    check_tail(sound[: int((killed_at - answered_at(cdr)) * RATE)], cdr, killed_at)
    check_tail(sound, cdr, answered_at(cdr) + 6.0)


def test_signalling_is_killed_in_a_recorded_call(recorded: Node, devices: Devices) -> None:
    with talk(devices):
        stays("they talk", recorded.pids, 3.0)
        killed_at = time.time()
        recorded.kill(role="signalling")
        cdr = recorded.only_cdr(10)
    assert (cdr["recording_degraded"], cdr["inferred_end"]) == (False, True)
    check_tail(finished(recorded, cdr), cdr, killed_at)


def test_the_whole_node_is_killed_in_a_recorded_call(recorded: Node, devices: Devices) -> None:
    with talk(devices):
        stays("they talk", recorded.pids, 3.0)
        killed_at = time.time()
        recorded.kill_all()
        [staged] = (recorded.data / "recordings" / "open").iterdir()
        before = read(staged)
    recorded.start()
    cdr = recorded.only_cdr()
    assert cdr["recording_degraded"] is True
    check_tail(before, cdr, killed_at)
    after = finished(recorded, cdr)
    assert (after[: len(before)] == before).all()
    assert list((recorded.data / "recordings" / "open").iterdir()) == []


def test_a_disk_that_takes_no_recording_costs_no_call(recorded: Node, devices: Devices) -> None:
    (recorded.data / "recordings").write_text("no folder")
    with talk(devices, 1000) as up:
        up.phone.ends_well()
        up.carrier.ends_well()
    cdr = recorded.only_cdr()
    assert (cdr["sip_status"], cdr["ended_by"]) == (200, "caller")
    assert cdr["recording"]
    assert (cdr.get("recording_sha256"), cdr["recording_degraded"]) == (None, True)
    assert "stopped, others may follow" in recorded.log


def finished(node: Node, cdr: Row) -> Sound:
    """Return the sound of a finished recording; it is the one of the record."""
    file = node.data / "recordings" / cdr["recording"]
    assert cdr["id"] in file.name
    assert cdr["recording_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    return read(file)


def answered_at(cdr: Row) -> float:
    """Return when a call was answered, seconds since 1970."""
    return datetime.fromisoformat(cdr["answered_at"]).timestamp()


def check_tail(sound: Sound, cdr: Row, killed_at: float) -> None:
    """No more than the last second before the kill is lacking, on both channels."""
    until_s = killed_at - answered_at(cdr)
    for channel in sound.T:
        assert np.flatnonzero(channel)[-1] / RATE > until_s - LACKS_S - SLACK_S
