"""What real phones do with a node: each case of docs/interop.md, over each transport."""

from functools import partial

from tests.interop import matrix
from tests.interop.clients.base import DIALOG, MESSAGE_SUMMARY
from tests.interop.matrix import Matrix
from tests.interop.stage import DIGITS, PHONES, Stage
from tests.interop.town import SAFE, WORKSHOP
from tests.interop.waiting import until

CLIENTS = tuple(PHONES)


def up(stage: Stage) -> None:
    """Let the client call its peer, and wait until both are heard."""
    stage.phone.call(WORKSHOP.user)
    stage.peer.expect("confirmed")
    until("both are heard", stage.is_heard)


def down(stage: Stage) -> None:
    """Let the client hang up, and its peer see that."""
    stage.phone.hang_up()
    stage.peer.expect("disconnected")


def test_registration(stage: Stage, shown: Matrix) -> None:
    (binding,) = [one for one in stage.node.show("bindings") if one["user"] == stage.me.user]
    assert bool(binding["path"]) == stage.has_edge
    if stage.transport == matrix.EDGE_WS:
        assert ";ob" in binding["path"]  # the edge keeps the flow (RFC 5626 5.1)
    stage.shows(shown, matrix.REGISTRATION)


def test_message_waiting(stage: Stage, shown: Matrix) -> None:
    stage.phone.watch(MESSAGE_SUMMARY, stage.me.user)
    for new, old in ((3, 1), (0, 4)):
        stage.node.run("mailbox", "acme", stage.me.user, str(new), str(old))
        counts = f"Voice-Message: {new}/{old}"
        until(f"the client tells {counts}", partial(stage.phone.is_told, counts))
    stage.shows(shown, matrix.WAITING)


def test_message(stage: Stage, shown: Matrix) -> None:
    stage.phone.write(WORKSHOP.user, "Is lunch ready?")
    stage.peer.expect("message", text="Is lunch ready?")
    stage.peer.write(stage.me.user, "At noon.")
    until("the client tells the answer", lambda: stage.phone.is_told("At noon."))
    stage.shows(shown, matrix.MESSAGE)


def test_options(stage: Stage, shown: Matrix) -> None:
    stage.phone.ask(WORKSHOP.user)
    stage.shows(shown, matrix.OPTIONS)


def test_presence(stage: Stage, shown: Matrix) -> None:
    """That its peer is there it has seen in the beginning; RFC 3856 6.10 wants 5 s between two
    NOTIFYs, which have passed by now."""
    stage.peer.leave()
    until("the client sees it go", lambda: stage.phone.sees(is_there=False))
    stage.peer.join()
    stage.shows(shown, matrix.PRESENCE)


def test_a_call_with_sound_both_ways(stage: Stage, shown: Matrix) -> None:
    up(stage)
    down(stage)
    stage.shows(shown, matrix.CALL)


def test_being_called(stage: Stage, shown: Matrix) -> None:
    stage.peer.call(stage.me.user)
    stage.peer.expect("confirmed")
    until("both are heard", stage.is_heard)
    stage.peer.hang_up()
    until("the call is over", lambda: not stage.node.show("calls"))
    stage.shows(shown, matrix.CALLED)


def test_hold_and_resume(stage: Stage, shown: Matrix) -> None:
    up(stage)
    stage.phone.hold()
    stage.peer.expect("media", status="held there")
    stage.phone.resume()
    stage.peer.expect("media", status="active")
    before = sum(stage.packets())
    until("sound comes again", lambda: sum(stage.packets()) > before)
    down(stage)
    stage.shows(shown, matrix.HOLD)


def test_digits_by_rtp(stage: Stage, shown: Matrix) -> None:
    digits(stage, "rtp")
    stage.shows(shown, matrix.DTMF_RTP)


def test_digits_by_info(stage: Stage, shown: Matrix) -> None:
    digits(stage, "info")
    stage.shows(shown, matrix.DTMF_INFO)


def digits(stage: Stage, by: str) -> None:
    up(stage)
    for digit in DIGITS:
        stage.phone.press(digit, by)
        stage.peer.expect("dtmf", digit=digit, by="rtp")  # the peer has telephone-event
    down(stage)


def test_blind_transfer(stage: Stage, shown: Matrix) -> None:
    up(stage)
    stage.phone.transfer(SAFE.user)
    stage.third.expect("confirmed")
    stage.talks_without_the_client()
    stage.shows(shown, matrix.BLIND)


def test_attended_transfer(stage: Stage, shown: Matrix) -> None:
    up(stage)
    stage.phone.hold()
    stage.peer.expect("media", status="held there")
    stage.phone.call(SAFE.user)
    stage.third.expect("confirmed")
    stage.phone.transfer_to_consulted()
    stage.talks_without_the_client()
    stage.shows(shown, matrix.ATTENDED)


def test_a_busy_lamp(stage: Stage, shown: Matrix) -> None:
    stage.phone.watch(DIALOG, SAFE.user)
    until("it is subscribed", lambda: stage.node.show("subscriptions"))
    stage.peer.call(SAFE.user)
    until("the lamp is lit", lambda: stage.phone.is_told("confirmed"))
    stage.peer.hang_up()
    until("the lamp is out", lambda: stage.phone.is_told("terminated"))
    stage.shows(shown, matrix.LAMP)
