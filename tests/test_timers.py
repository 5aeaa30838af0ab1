"""The queue of deadlines."""

import random

from sipcore.timers import COARSE_S, Timer, TimerQueue


def drained(queue: TimerQueue[str], now: float) -> list[str]:
    found = []
    while (what := queue.pop_due(now)) is not None:
        found.append(what)
    return found


def test_what_is_due_comes_in_order_of_time_and_then_of_setting() -> None:
    queue = TimerQueue[str]()
    for delay_s, what in ((3.0, "c"), (1.0, "a"), (3.0, "d"), (2.0, "b")):
        queue.add(delay_s, 10.0, what)
    assert drained(queue, 10.9) == []
    assert drained(queue, 13.0) == ["a", "b", "c", "d"]
    assert (len(queue), queue.next_at()) == (0, None)


def test_deadlines_of_several_delays_meet_in_order() -> None:
    queue = TimerQueue[str]()
    queue.add(2.0, 0.0, "set first, due last")
    queue.add(0.5, 1.0, "set last, due first")
    assert queue.next_at() == 1.5
    assert drained(queue, 1.5) == ["set last, due first"]
    assert drained(queue, 2.0) == ["set first, due last"]


def test_a_cancelled_deadline_is_as_if_never_set() -> None:
    queue = TimerQueue[str]()
    first, second = queue.add(1.0, 0.0, "a"), queue.add(2.0, 0.0, "b")
    assert (len(queue), queue.next_at()) == (2, 1.0)
    first.cancel()
    assert len(queue) == 1
    assert queue.pop_due(1.5) is None
    assert queue.next_at() == 2.0, "the time of what was cancelled is forgotten when it has come"
    second.cancel()
    second.cancel()
    assert (len(queue), queue.pop_due(9.0), queue.next_at()) == (0, None, None)


def test_a_cancelled_deadline_that_is_due_is_passed_over() -> None:
    queue = TimerQueue[str]()
    queue.add(1.0, 0.0, "a").cancel()
    queue.add(1.0, 0.0, "b")
    assert drained(queue, 1.0) == ["b"]


def test_cancelling_what_has_come_changes_nothing() -> None:
    queue = TimerQueue[str]()
    timer = queue.add(1.0, 0.0, "a")
    assert queue.pop_due(1.0) == "a"
    timer.cancel()
    assert len(queue) == 0


def test_long_delays_end_together_at_the_next_eighth_of_a_second() -> None:
    queue = TimerQueue[str]()
    for started in (0.01, 0.02, 0.125):
        queue.add(COARSE_S, started, "coarse")
    queue.add(4.0, 0.01, "exact")
    assert queue.next_at() == 4.01
    assert drained(queue, 5.1249) == ["exact"]
    assert drained(queue, 5.125) == ["coarse"] * 3, "none comes before its time"


def test_any_mix_of_setting_and_cancelling_gives_what_is_due_and_no_more() -> None:
    dice = random.Random(3)
    queue = TimerQueue[str]()
    live: dict[str, tuple[float, Timer[str]]] = {}
    now = 0.0
    for number in range(3000):
        now += dice.random() / 4
        delay_s = dice.choice([0.5, 1.0, 2.0, 4.0])
        live[str(number)] = (now + delay_s, queue.add(delay_s, now, str(number)))
        if dice.random() < 0.6:
            live.pop(dice.choice(list(live)))[1].cancel()
        due = sorted((at, int(name)) for name, (at, _) in live.items() if at <= now)
        assert drained(queue, now) == [str(number) for _, number in due]
        for _, name in due:
            del live[str(name)]
        at = queue.next_at()
        assert at is None or all(at <= deadline for deadline, _ in live.values())
        assert len(queue) == len(live)
