"""The notifier's side of a subscription: one NOTIFY in flight, the newest state, always an end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.dialog.subscription import (
    FLYING,
    LAST,
    NOTIFIER,
    OVER,
    OWED,
    QUIET,
    RESTING,
    STALE,
    WAITING,
    Notice,
    Notifier,
    Subscription,
    granted_s,
)

PACE_S = 1.0


class Bench:
    """One subscription, moved by hand. `sent` are the times of NOTIFYs; `knows` what each told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.notifier: Notifier[str] = Notifier()
        self.one: Subscription[str] = Subscription("lamp", PACE_S, 0.0)
        self.state = 0  # what is watched
        self.sent: list[float] = []
        self.told: list[int] = []
        self.lasts = 0
        self.in_flight = 0
        self.is_over = False

    def ask(self, expires_s: float = 300.0) -> None:
        self.notifier.ask(self.one, self.now + expires_s, self.now)
        self._drain()

    def change(self) -> None:
        self.state += 1
        self.notifier.change(self.one, self.now)
        self._drain()

    def end(self) -> None:
        self.notifier.end(self.one, "timeout", self.now)
        self._drain()

    def answer(self, status: int, later_s: int | None = None) -> None:
        if self.in_flight:
            self.in_flight -= 1
            self.notifier.answered(self.one, status, later_s, self.now)
            self._drain()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.notifier.next_timeout()) is not None and at <= end:
            self.now = max(self.now, at)
            self.notifier.handle_timeout(self.now)
            self._drain()
        self.now = end

    def _drain(self) -> None:
        while (notice := self.notifier.poll()) is not None:
            self._take(notice)

    def _take(self, notice: Notice[str]) -> None:
        assert not self.is_over, "nothing is due after the end"
        if notice.is_over:
            self.is_over = True
            return
        assert self.in_flight == 0, "one at most is in flight"
        assert self.lasts == 0, "nothing follows the last"
        self.in_flight += 1
        self.lasts += notice.is_last
        self.sent.append(self.now)
        self.told.append(self.state)


def test_every_state_but_the_last_can_be_ended() -> None:
    ended = {state for state, word in NOTIFIER if word == "end"}
    assert ended == {QUIET, FLYING, STALE, RESTING, WAITING}
    assert {state for state, _ in NOTIFIER} == ended | {OWED, LAST}


def test_the_state_is_told_at_once_and_each_change_after_it() -> None:
    bench = Bench()
    bench.ask()
    bench.answer(200)
    bench.advance(5)
    bench.change()
    bench.answer(200)
    assert (bench.sent, bench.told) == ([100.0, 105.0], [0, 1])
    assert bench.notifier.timer_count() == 1
    bench.advance(1)
    assert bench.notifier.timer_count() == 0


def test_what_changes_while_one_is_in_flight_is_told_once_by_the_next() -> None:
    bench = Bench()
    bench.ask()
    for _ in range(5):
        bench.change()
    bench.advance(0.3)
    bench.answer(200)
    bench.advance(5)
    assert (bench.sent, bench.told) == ([100.0, 100.0 + 0.3 + PACE_S], [0, 5])


def test_changes_come_no_faster_than_the_pace() -> None:
    bench = Bench()
    bench.ask()
    for _ in range(100):
        bench.answer(200)
        bench.change()
        bench.advance(0.1)
    assert len(bench.sent) == 10


def test_a_refresh_is_told_at_once_even_too_soon() -> None:
    bench = Bench()
    bench.ask()
    bench.answer(200)
    bench.advance(0.1)
    bench.change()
    bench.ask()
    assert bench.sent == [100.0, 100.1]
    assert bench.notifier.timer_count() == 0


def test_silence_is_given_one_more_notify_with_the_newest_state() -> None:
    bench = Bench()
    bench.ask()
    bench.change()
    bench.answer(408)
    assert (bench.told, bench.is_over) == ([0, 1], False)
    bench.answer(408)
    assert bench.is_over


def test_an_answer_between_two_silences_counts() -> None:
    bench = Bench()
    bench.ask()
    for status in (408, 200, 408, 200):
        bench.answer(status)
        bench.advance(2)
        bench.change()
    assert not bench.is_over


def test_a_refusal_ends_it_and_is_followed_by_nothing() -> None:
    for status in (481, 404, 405, 401, 500, 603):
        bench = Bench()
        bench.ask()
        bench.change()
        bench.answer(status)
        assert (bench.is_over, len(bench.sent)) == (True, 1)


def test_retry_after_is_heeded_up_to_a_minute_but_not_with_481() -> None:
    for status, later_s, waits_s in ((503, 7, 7), (500, 100_000, 60), (480, 0, 1)):
        bench = Bench()
        bench.ask()
        bench.answer(status, later_s)
        bench.change()
        bench.advance(100)
        assert bench.sent[1] - 100.0 == waits_s
    bench = Bench()
    bench.ask()
    bench.answer(481, 5)
    assert bench.is_over


def test_the_end_waits_for_the_notify_in_flight() -> None:
    bench = Bench()
    bench.ask()
    bench.end()
    assert bench.lasts == 0
    assert bench.one.is_ending
    bench.answer(200)
    assert (bench.lasts, len(bench.sent)) == (1, 2)
    bench.answer(200)
    assert bench.is_over


def test_a_fetch_is_one_notify() -> None:
    bench = Bench()
    bench.end()
    bench.answer(200)
    assert (bench.lasts, len(bench.sent), bench.is_over) == (1, 1, True)


def test_how_long_is_granted() -> None:
    asked = (None, 0, 1, 59, 60, 599, 600, 601, 1 << 31)
    assert [granted_s(one) for one in asked] == [600, 0, None, None, 60, 599, 600, 600, 600]


STEPS = st.one_of(
    st.just(("ask", 0.0)),
    st.just(("change", 0.0)),
    st.just(("end", 0.0)),
    st.tuples(st.just("advance"), st.floats(0.01, 50.0)),
    st.tuples(st.just("answer"), st.sampled_from([200.0, 202.0, 408.0, 481.0, 500.0])),
    st.tuples(st.just("later"), st.integers(0, 100).map(float)),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_in_any_order_one_flies_the_newest_is_told_and_it_ends(
    steps: list[tuple[str, float]],
) -> None:
    bench = Bench()
    bench.ask()
    for name, value in steps:
        match name:
            case "ask" if not bench.one.is_ending:
                bench.ask()
            case "change":
                bench.change()
            case "end":
                bench.end()
            case "advance":
                bench.advance(value)
            case "answer":
                bench.answer(int(value))
            case "later":
                bench.answer(503, int(value))
    for _ in range(4):  # the network is well again
        bench.answer(200)
        bench.advance(70)
    if not bench.is_over:
        assert (bench.told[-1], bench.one.state) == (bench.state, QUIET)
    bench.end()
    bench.answer(200)
    assert (bench.is_over, bench.one.state) == (True, OVER)
    assert bench.notifier.timer_count() == 0
