"""Registering with a carrier, without a network: every answer that a registrar may give."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.dialog.registration import (
    ASKING,
    GONE,
    LEAVING,
    MOST_BACK_OFF_S,
    REGISTERED,
    WAITING,
    Registration,
    Terms,
)
from sipcore.message.digest import challenge
from sipcore.message.message import Request, Response
from sipcore.message.signer import Signer

CONTACT = "<sip:+862136413500@10.0.0.1:5060>"
NOW = 1000.0
PASSWORD = "carrier-secret"


def registration(expires_s: int = 600, draw: float = 0.5) -> Registration:
    numbers = count()

    def token(chars: int) -> str:
        return f"{next(numbers):0{chars}x}"

    terms = Terms("+862136413500", "ims.example", expires_s)
    made = Registration(terms, Signer("user", PASSWORD, token), token, lambda: draw)
    made.begin(NOW)
    return made


def asked(one: Registration) -> Request:
    """Ask when it is time."""
    assert one.next_at is not None
    request = one.ask(one.next_at, CONTACT)
    assert request is not None
    return request


def registered(one: Registration, granted_s: int = 600, at: float = NOW + 2) -> Registration:
    asked(one)
    one.answered(granted(granted_s), at)
    assert one.state == REGISTERED
    return one


def granted(expires_s: int) -> Response:
    return Response(200, {"Contact": [f"{CONTACT};expires={expires_s}"]})


def challenged(nonce: str = "n", *, is_stale: bool = False) -> Response:
    return Response(
        401, {"WWW-Authenticate": [challenge("MD5", "ims.example", nonce, is_stale=is_stale)]}
    )


def test_a_register_names_the_record_and_the_contact() -> None:  # RFC 3261 10.2
    request = asked(registration())
    assert request.uri == "sip:ims.example"
    assert str(request.to.uri) == str(request.from_.uri) == "sip:+862136413500@ims.example"
    assert request.from_.tag
    assert request.headers["Contact"] == [f"{CONTACT};expires=600"]
    assert "Authorization" not in request.headers


def test_a_challenge_is_answered_at_once_in_the_same_call() -> None:
    one = registration()
    first = asked(one)
    one.answered(challenged(), NOW + 2)
    second = asked(one)
    assert "Authorization" in second.headers
    assert second.call_id == first.call_id
    assert second.cseq.number == first.cseq.number + 1


def test_a_registration_is_renewed_before_it_ends_with_the_same_nonce() -> None:
    one = registration()
    asked(one)
    one.answered(challenged(), NOW + 2)
    asked(one)
    one.answered(granted(600), NOW + 3)
    assert one.is_registered(NOW + 600)
    assert one.next_at is not None
    assert 450 <= one.next_at - NOW <= 545
    assert "nc=00000002" in asked(one).headers["Authorization"][0]


def test_the_registrars_time_counts_at_our_contact_alone() -> None:
    one = registration()
    asked(one)
    one.answered(
        Response(200, {"Contact": [f"<sip:other@192.0.2.7>;expires=30, {CONTACT};expires=200"]}),
        NOW + 2,
    )
    assert not one.is_registered(NOW + 202)
    assert one.is_registered(NOW + 199)


@pytest.mark.parametrize(
    ("headers", "granted_s"),
    [
        ({}, 600),
        ({"Expires": ["120"]}, 120),
        ({"Contact": ["<sip:x@203.0.113.1:9>;expires=90"]}, 90),
        ({"Contact": [CONTACT], "Expires": ["240"]}, 240),
        ({"Contact": ["*"]}, 600),
        ({"Expires": ["99999999999"]}, 86_400),
    ],
)
def test_a_registrar_that_says_little_is_believed(
    headers: dict[str, list[str]], granted_s: int
) -> None:
    one = registration()
    asked(one)
    one.answered(Response(200, headers), NOW + 2)
    assert round(one.registered_until - NOW - 1) == granted_s


def test_a_registrar_that_grants_nothing_has_refused() -> None:
    one = registration()
    asked(one)
    one.answered(granted(0), NOW + 2)
    assert (one.state, one.reason) == (WAITING, "granted no time")


def test_too_brief_a_time_is_made_longer_once_more_at_once() -> None:  # 10.2.8
    one = registration(expires_s=60)
    asked(one)
    one.answered(Response(423, {"Min-Expires": ["1800"]}), NOW + 2)
    assert asked(one).headers["Expires"] == ["1800"]


@pytest.mark.parametrize("least", [[], ["60"], ["nonsense"], ["999999"]])
def test_a_423_that_asks_for_nothing_more_is_a_refusal(least: list[str]) -> None:
    one = registration(expires_s=60)
    asked(one)
    one.answered(Response(423, {"Min-Expires": least} if least else {}), NOW + 2)
    assert (one.state, one.reason) == (WAITING, "423")


def test_a_wrong_password_is_said_once_and_then_seldom() -> None:
    one = registration()
    asked(one)
    one.answered(challenged("a"), NOW + 2)
    asked(one)
    one.answered(challenged("b"), NOW + 3)
    assert (one.state, one.reason) == (WAITING, "credentials refused")
    assert one.next_at is not None
    assert one.next_at - NOW > 100


def test_a_name_that_leads_nowhere_is_tried_again() -> None:
    one = registration()
    one.lost(NOW + 2)
    assert (one.state, one.reason) == (WAITING, "no address")
    assert one.next_at is not None
    assert one.next_at - NOW - 2 == 22.5


def test_back_off_doubles_up_to_half_an_hour() -> None:  # RFC 5626 4.5
    one, now, waits = registration(), NOW + 2, []
    for _ in range(9):
        asked(one)
        one.answered(Response(408, {}), now, is_local=True)
        assert one.next_at is not None
        waits.append(one.next_at - now)
        now = one.next_at
    assert waits[:3] == [22.5, 45, 90]
    assert max(waits) <= MOST_BACK_OFF_S


def test_every_address_is_tried_before_it_waits() -> None:
    one, now = registration(), NOW + 2
    one.ways = 3
    waits = []
    for _ in range(3):
        asked(one)
        one.answered(Response(503, {}), now)
        assert one.next_at is not None
        waits.append(one.next_at - now)
        now = one.next_at
    assert waits == [0.5, 0.5, 22.5]


def test_retry_after_is_kept() -> None:
    one = registration()
    asked(one)
    one.answered(Response(503, {"Retry-After": ["300 (maintenance);duration=60"]}), NOW + 2)
    assert one.next_at is not None
    assert 300 <= one.next_at - NOW - 2 <= 330


def test_a_failed_refresh_keeps_what_was_granted_until_it_ends() -> None:
    one = registered(registration())
    asked(one)
    one.answered(Response(500, {}), NOW + 500)
    assert one.is_registered(NOW + 550)
    assert not one.is_registered(NOW + 700)


def test_leaving_removes_what_was_granted() -> None:  # 10.2.2
    one = registered(registration())
    one.leave(NOW + 10)
    assert asked(one).headers["Expires"] == ["0"]
    one.answered(Response(200, {}), NOW + 11)
    assert (one.state, one.is_registered(NOW + 11), one.next_at) == (GONE, False, None)


def test_leaving_before_anything_was_granted_is_silent() -> None:
    one = registration()
    one.leave(NOW + 1)
    assert (one.state, one.next_at) == (GONE, None)


def test_leaving_waits_for_the_register_that_is_out() -> None:
    one = registration()
    asked(one)
    one.leave(NOW + 2)
    assert (one.state, one.next_at) == (LEAVING, None)
    one.answered(granted(600), NOW + 3)
    assert asked(one).headers["Expires"] == ["0"]


def test_service_route_is_kept_while_registered() -> None:  # RFC 3608
    one = registration()
    asked(one)
    routes = {"Service-Route": ["<sip:a.example;lr>, <sip:b.example;lr>"], "Path": ["<sip:p;lr>"]}
    one.answered(Response(200, routes), NOW + 2)
    assert one.service_route == ("sip:a.example;lr", "sip:b.example;lr")
    one.leave(NOW + 10)
    asked(one)
    one.answered(Response(200, {}), NOW + 11)
    assert not one.service_route


def test_an_answer_that_cannot_be_read_is_a_failure() -> None:
    one = registration()
    asked(one)
    one.answered(Response(200, {"Contact": ["<<>>"]}), NOW + 2)
    assert one.state == WAITING


answers = st.one_of(
    st.integers(-5, 100_000).map(granted),
    st.tuples(st.text("ab", max_size=2), st.booleans()).map(
        lambda one: challenged(f"n{one[0]}", is_stale=one[1])
    ),
    st.integers(0, 100_000).map(lambda least: Response(423, {"Min-Expires": [str(least)]})),
    st.sampled_from([302, 400, 403, 404, 407, 408, 480, 500, 503, 600]).map(
        lambda status: Response(status, {"Retry-After": ["7"]})
    ),
    st.just(Response(200, {"Contact": [";;"]})),
    st.none(),
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(answers, st.booleans(), st.integers(0, 40)), max_size=40),
    st.sampled_from([0.0, 0.5, 0.999]),
    st.integers(1, 3),
    st.integers(0, 45),
)
def test_whatever_a_registrar_answers_it_goes_on_and_never_hurries(
    script: list[tuple[Response | None, bool, int]], draw: float, ways: int, leaves: int
) -> None:
    one = registration(draw=draw)
    one.ways = ways
    now, number, hurry = NOW, 0, 0
    call_ids = set()
    for step, (answer, is_local, late_s) in enumerate(script):
        if step == leaves:
            one.leave(now)
        if one.state == GONE:
            assert one.next_at is None
            break
        if one.next_at is not None:
            hurry = hurry + 1 if one.next_at <= now else 0
            assert hurry <= 6, "REGISTERs in a row without a pause"
            now = max(now, one.next_at)
        else:
            assert one.state in (ASKING, LEAVING)
        request = one.ask(now, CONTACT)
        assert request is not None
        assert request.cseq.number > number
        assert PASSWORD not in request.to_bytes().decode()
        number = request.cseq.number
        call_ids.add(request.call_id)
        if late_s > 30 or answer is None:
            now += 32
            one.answered(Response(408, {}), now, is_local=True)
        else:
            now += late_s / 1000
            one.answered(answer, now, is_local=is_local and answer.status in (408, 503))
        if one.state == REGISTERED and one.registered_until > now + 30:
            assert one.next_at is not None
            assert now < one.next_at < one.registered_until
        assert one.next_at is None or one.next_at - now < 86_400
    assert len(call_ids) <= 1


def test_what_comes_unasked_changes_nothing() -> None:
    one = registration()
    one.answered(granted(600), NOW)
    assert one.state == WAITING
    assert one.ask(NOW, CONTACT) is None, "too early"


def test_another_address_of_ours_is_told_soon_unless_we_are_leaving() -> None:
    one = registered(registration(600))
    due: list[float | None] = []
    one.renew(NOW + 10)
    due.append(one.next_at)
    asked(one)
    one.renew(NOW + 12)
    due.append(one.next_at)  # one REGISTER at a time (10.2)
    one.answered(granted(600), NOW + 13)
    one.leave(NOW + 20)
    one.renew(NOW + 10)
    due.append(one.next_at)
    assert due == [NOW + 11, None, NOW + 20]
