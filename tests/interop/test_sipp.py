"""What SIPp does with a node, by scenarios of our own: its cases of docs/interop.md."""

import re
from urllib.parse import quote

from tests.interop import matrix
from tests.interop.clients.base import DIALOG, MESSAGE_SUMMARY
from tests.interop.devices import LINGER
from tests.interop.matrix import Matrix
from tests.interop.sipp import Peer
from tests.interop.stage import DIGITS, SCRIPTED, Stage
from tests.interop.town import SAFE, WORKSHOP
from tests.interop.waiting import until

CLIENTS = (SCRIPTED,)
CALLS = ("-s", WORKSHOP.user)
TALK_MS = 1500


def over(stage: Stage, desk: Peer) -> None:
    """Wait until a call is over on both sides."""
    desk.ends_well()
    stage.peer.expect("disconnected")


def test_registration(stage: Stage, shown: Matrix) -> None:
    (binding,) = [one for one in stage.node.show("bindings") if one["user"] == stage.me.user]
    assert bool(binding["path"]) == stage.has_edge
    stage.shows(shown, matrix.REGISTRATION)


def test_a_call_with_sound_both_ways(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.play("talk", "-rtp_echo", "-d", str(TALK_MS), *CALLS, has_sound=True)
    until("both are heard", stage.is_heard)
    over(stage, desk)
    stage.shows(shown, matrix.CALL)


def test_being_called(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.listen("answer", "-rtp_echo", "-d", "100", *LINGER, "0")
    stage.peer.call(stage.me.user)
    stage.peer.expect("confirmed")
    until("both are heard", stage.is_heard)
    stage.peer.hang_up()
    over(stage, desk)
    stage.shows(shown, matrix.CALLED)


def test_hold_and_resume(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.play("hold", "-rtp_echo", *CALLS, has_sound=True)
    stage.peer.expect("media", status="held there")
    stage.peer.expect("media", status="active")
    until("both are heard", stage.is_heard)
    stage.peer.hang_up()
    over(stage, desk)
    stage.shows(shown, matrix.HOLD)


def test_digits_by_rtp(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.play("digits_by_rtp", *CALLS, has_sound=True)
    heard(stage, desk)
    stage.shows(shown, matrix.DTMF_RTP)


def test_digits_by_info(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.play("digits_by_info", *CALLS)
    heard(stage, desk)
    stage.shows(shown, matrix.DTMF_INFO)


def heard(stage: Stage, desk: Peer) -> None:
    """Wait until the peer has heard the keys, and let it hang up."""
    for digit in DIGITS:
        stage.peer.expect("dtmf", digit=digit, by="rtp")
    stage.peer.hang_up()
    over(stage, desk)


def test_blind_transfer(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.play("transfer", *CALLS, target=SAFE.user)
    stage.third.expect("confirmed")
    desk.ends_well()
    stage.talks_without_the_client()
    stage.shows(shown, matrix.BLIND)


def test_attended_transfer(stage: Stage, shown: Matrix) -> None:
    second = stage.sipp.play("stay", "-s", SAFE.user)
    stage.third.expect("confirmed")
    told = "transfer_to_consulted", *CALLS
    desk = stage.sipp.play(*told, target=SAFE.user, replaces=named(second))
    stage.peer.expect("media", status="held there")
    for one in (desk, second):
        one.ends_well()
    stage.talks_without_the_client()
    stage.shows(shown, matrix.ATTENDED)


def named(call: Peer) -> str:
    """Return what Replaces says of a call (RFC 3891 6.1), escaped as in a URI."""
    answer = call.received("200")[-1]
    (mine,) = re.findall("tag=(.+)", answer.header("From"))
    (theirs,) = re.findall("tag=(.+)", answer.header("To"))
    return quote(f"{answer.header('Call-ID')};to-tag={theirs};from-tag={mine}")


def test_message_waiting(stage: Stage, shown: Matrix) -> None:
    own = ("-s", stage.me.user)
    desk = stage.sipp.play("subscribe", *own, event=MESSAGE_SUMMARY, until="Voice-Message: 3/1")
    desk.wait_for("NOTIFY")
    stage.node.run("mailbox", "acme", stage.me.user, "3", "1")
    desk.ends_well()
    stage.shows(shown, matrix.WAITING)


def test_a_busy_lamp(stage: Stage, shown: Matrix) -> None:
    desk = stage.sipp.play("subscribe", "-s", SAFE.user, event=DIALOG, until="terminated")
    desk.wait_for("NOTIFY")
    stage.peer.call(SAFE.user)
    until("the lamp is lit", lambda: "confirmed" in desk.received("NOTIFY")[-1].text)
    stage.peer.hang_up()
    desk.ends_well()
    stage.shows(shown, matrix.LAMP)


def test_presence(stage: Stage, shown: Matrix) -> None:
    stage.peer.leave()
    until("it sees that", lambda: stage.sipp.sees(is_there=False))
    stage.peer.join()
    stage.shows(shown, matrix.PRESENCE)


def test_message(stage: Stage, shown: Matrix) -> None:
    stage.sipp.play("write", *CALLS).ends_well()
    until("it is read", lambda: stage.peer.is_told("Is lunch ready?"))
    desk = stage.sipp.listen("take_message")
    stage.peer.write(stage.me.user, "At noon.")
    desk.ends_well()
    assert desk.received("MESSAGE")[0].text.strip().endswith("At noon.")
    stage.shows(shown, matrix.MESSAGE)


def test_options(stage: Stage, shown: Matrix) -> None:
    stage.sipp.play("options").ends_well()
    stage.shows(shown, matrix.OPTIONS)
