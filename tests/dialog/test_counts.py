"""What the stack counts for people who watch: repeats, and transactions that came to nothing."""

from tests.dialog.lab import Lab


def test_what_a_timer_sends_again_is_counted_and_the_timeout_once() -> None:
    lab = Lab()
    lab.ask("INVITE")
    lab.advance(31.999)
    assert (lab.stack.repeats, lab.stack.failures["timeout"]) == ({"in": 0, "out": 6}, 0)
    lab.advance(0.001)
    assert lab.stack.failures == {"timeout": 1, "transport": 0}


def test_what_a_peer_says_again_is_counted() -> None:
    lab = Lab()
    lab.hear("INVITE")
    lab.accept()
    assert lab.stack.repeats == {"in": 0, "out": 0}
    lab.hear("INVITE")
    lab.hear("INVITE")
    assert lab.stack.repeats == {"in": 2, "out": 0}


def test_a_transport_that_fails_is_counted() -> None:
    lab = Lab()
    lab.fail(lab.ask("OPTIONS"))
    assert lab.stack.failures == {"timeout": 0, "transport": 1}
