"""Up and down by OPTIONS: nothing follows from one answer."""

from hypothesis import given
from hypothesis import strategies as st

from sipcore.policy.health import ANSWER_S, FALL, RISE, Health

NOW = 1000.0


def asked(health: Health) -> float:
    """Ask when it is time; return when that was."""
    now = health.next_at
    assert health.due(now, 0.5)
    return now


def after(*statuses: int) -> Health:
    """Return the health of a peer that gave these answers; 0 is none."""
    health = Health(30)
    health.begin(NOW, 0.0)
    for status in statuses:
        now = asked(health)
        if status:
            health.answered(status, now + 0.1, 0.5)
        else:
            assert not health.due(health.next_at, 0.5)
    return health


def test_three_failures_in_a_row_are_down_and_two_answers_up() -> None:
    assert after(0, 0).is_up
    assert not after(0, 0, 0).is_up
    assert not after(0, 408, 503).is_up
    assert not after(0, 0, 0, 200).is_up
    assert after(0, 0, 0, 200, 200).is_up


def test_answers_between_begin_the_count_anew() -> None:
    assert after(0, 0, 200, 0, 0).is_up
    assert not after(0, 0, 0, 200, 0, 200).is_up


def test_any_other_status_is_a_sign_of_life() -> None:
    for status in (200, 401, 403, 404, 405, 483, 500, 501, 603):
        assert after(0, 0, 0, status, status).is_up


def test_a_question_is_out_for_some_seconds_and_comes_once_an_interval() -> None:
    health = after()
    now = asked(health)
    assert health.next_at - now == ANSWER_S
    assert not health.due(now + 1, 0.5)
    health.due(now + ANSWER_S, 0.5)
    assert health.next_at == now + 30


def test_an_answer_that_comes_too_late_is_nothing() -> None:
    health = after(0, 0, 0)
    health.answered(200, NOW + 500, 0.5)
    health.answered(200, NOW + 500, 0.5)
    assert not health.is_up


def test_peers_are_asked_one_after_the_other() -> None:
    times = []
    for at in range(10):
        health = Health(30)
        health.begin(NOW, at / 10)
        times.append(health.next_at - NOW)
    assert times == [3.0 * at for at in range(10)]


@given(
    st.lists(st.tuples(st.sampled_from([0, 200, 404, 408, 503]), st.floats(0, 0.999))),
    st.integers(5, 3600),
)
def test_it_is_down_after_failures_alone_and_up_after_answers_alone(
    script: list[tuple[int, float]], interval_s: int
) -> None:
    health = Health(interval_s)
    health.begin(NOW, 0.3)
    seen: list[bool] = []
    last = NOW - interval_s
    for status, draw in script:
        now = asked(health)
        assert now - last >= interval_s * 0.9 - ANSWER_S
        last = now
        if status:
            health.answered(status, now + 1, draw)
        else:
            assert not health.due(health.next_at, draw)
        was = seen[-FALL:]
        seen.append(status not in (0, 408, 503))
        if seen[-FALL:] == [False] * FALL:
            assert not health.is_up
        if seen[-RISE:] == [True] * RISE:
            assert health.is_up
        assert len(was) <= FALL
