"""kill -9 in a recorded call, with 20 calls a second beside it: of a media worker, of signalling,
of the supervisor. No answered call without its record, none with two; and the file plays."""

import hashlib
import time
import wave
from datetime import datetime

import numpy as np
import pytest

from tests.interop.devices import Devices
from tests.interop.load import busy_pbx, load
from tests.interop.node import Node, Row, Settings
from tests.interop.ports import Ports
from tests.interop.talking import Talk, talk
from tests.interop.town import Town
from tests.interop.waiting import stays, until
from tests.media.tape import Sound, read

RATE = 8000
BEFORE_S = 2.0  # of talk before the kill
LACKS_S = 1.0  # what a kill -9 may cost of a recording
SLACK_S = 0.3  # between what a test does and when it knows
BACK_S = 1.0  # until sound is back where another worker is up
START_S = 3.0  # until it is where a process must start first, on a machine that is busy


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    workers = getattr(request, "param", 2)
    return Settings(workers=workers, calls=80, media_ports=400)


@pytest.fixture
def busy(ports: Ports, node: Node, town: Town) -> int:
    """Provision the desk's recording and a busy PBX; return the PBX's port."""
    port = ports.take()
    name = 'name = "Front desk"'
    desk = town.provisioning().replace(name, f"{name}\nrecord = true")
    node.import_(desk + busy_pbx(town, port))
    return port


def worker_of(node: Node, up: Talk) -> str:
    """Return the worker process that carries a call."""
    rtp = f":{up.phone.rtp_port}"
    [worker] = {row["worker"] for row in node.show("media") if rtp in str(row)}
    return f"media-{worker}"


def record_of(node: Node, up: Talk) -> Row:
    """Return the one record of the recorded call."""
    call_id = up.phone.received("200")[0].header("Call-ID")

    def found() -> list[Row]:
        return [cdr for cdr in node.cdrs() if cdr["call_id"] == call_id]

    until("the call has its record", found, 10)
    [cdr] = found()
    return cdr


def sound_of(node: Node, cdr: Row) -> Sound:
    """Return the one recording; any player opens it, and it is the one that the record means."""
    folder = node.data / "recordings"
    [file] = (one for one in folder.rglob("*") if one.is_file())
    assert file == folder / cdr["recording"]
    assert cdr["recording_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    with wave.open(str(file), "rb") as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (2, 2, RATE)
        assert sound.getnframes() * 4 == len(sound.readframes(sound.getnframes()))
    return read(file)


def check_heard_until(sound: Sound, cdr: Row, at: float, lacks_s: float) -> None:
    """Both sides are there until so long before a moment (seconds since 1970)."""
    end_s = at - datetime.fromisoformat(cdr["answered_at"]).timestamp()
    for channel in sound[: int(end_s * RATE)].T:
        assert np.flatnonzero(channel)[-1] / RATE > end_s - lacks_s - SLACK_S


@pytest.mark.parametrize(
    ("settings", "back_s"),
    [(2, BACK_S), (1, START_S)],
    indirect=["settings"],
    ids=["two workers", "one worker"],
)
def test_a_media_worker_is_killed(node: Node, devices: Devices, busy: int, back_s: float) -> None:
    with load(devices, busy) as beside, talk(devices, 9000) as up:
        stays("they talk", node.pids, BEFORE_S)
        role = worker_of(node, up)
        killed_at, killed_on = time.time(), time.monotonic()
        node.kill(role=role)
        stays("they talk on", node.pids, 4.0)
        gap_s = up.longest_gap_s(killed_on)
        print(f"no sound for {gap_s:.3f} s")
        assert gap_s < back_s
        beside.goes_on()
        until("the worker is there again", lambda: role in node.pids())
        up.phone.ends_well()
        up.carrier.ends_well()
        ended_at = up.stopped_at[0]
    beside.check(node)
    cdr = record_of(node, up)
    assert (cdr["ended_by"], cdr["q850_cause"]) == ("caller", 16)
    assert cdr["recording_degraded"] is True
    sound = sound_of(node, cdr)
    check_heard_until(sound, cdr, killed_at, LACKS_S)
    check_heard_until(sound, cdr, ended_at, LACKS_S)
    assert "goes on at media worker" in node.log


def test_signalling_is_killed(node: Node, devices: Devices, busy: int) -> None:
    with load(devices, busy) as beside, talk(devices) as up:
        stays("they talk", node.pids, BEFORE_S)
        killed_on = time.monotonic()
        node.kill(role="signalling")
        up.phone.ends_well()
        up.carrier.ends_well()
        ended_at, heard_for_s = time.time(), up.heard_until - killed_on
        print(f"audio went on for {heard_for_s:.3f} s, until the BYE")
        beside.goes_on()
    for peer in (up.phone, up.carrier):
        [bye] = {one.header("CSeq"): one for one in peer.received("BYE")}.values()
        assert 'Q.850;cause=41;text="node restarted"' in bye.header("Reason")
        assert abs(bye.at - killed_on - (time.time() - time.monotonic()) - heard_for_s) < SLACK_S
    beside.check(node)
    cdr = record_of(node, up)
    assert (cdr["ended_by"], cdr["q850_cause"], cdr["inferred_end"]) == ("node", 41, True)
    assert cdr["recording_degraded"] is False
    check_heard_until(sound_of(node, cdr), cdr, ended_at, SLACK_S)


def test_the_supervisor_is_killed(node: Node, devices: Devices, busy: int) -> None:
    with load(devices, busy) as beside, talk(devices) as up:
        stays("they talk", node.pids, BEFORE_S)
        killed_at = time.time()
        node.kill()
        until("all children have ended", lambda: not node.pids(), 1.0)
        node.start()
        beside.goes_on()
    beside.check(node)
    cdr = record_of(node, up)
    check_heard_until(sound_of(node, cdr), cdr, killed_at, LACKS_S)
