"""Session timers (RFC 4028): what is agreed, and when somebody has to act."""

import pytest

from sipcore.dialog.refresh import Refresh, Rules, agreed, answer, is_too_short, raised
from sipcore.errors import BadMessage
from sipcore.message.message import Headers, Request, Response

RULES = Rules(1800, 90)


def _asks(**said: str) -> Request:
    headers = {name.replace("_", "-"): [value] for name, value in said.items()}
    return Request("INVITE", "sip:us@x", headers)


@pytest.mark.parametrize(
    ("request_", "said", "is_ours"),
    [  # RFC 4028 table 2, and what we choose where it leaves the choice
        (_asks(), None, None),
        (_asks(Supported="timer"), {"Session-Expires": ["1800;refresher=uac"]}, False),
        (_asks(Session_Expires="600"), {"Session-Expires": ["600;refresher=uas"]}, True),
        (
            _asks(Supported="100rel, timer", Session_Expires="600;refresher=uas"),
            {"Session-Expires": ["600;refresher=uas"]},
            True,
        ),
        (
            _asks(Require="timer", Session_Expires="7200;refresher=uac"),
            {"Session-Expires": ["1800;refresher=uac"]},
            False,
        ),
        (
            _asks(Supported="timer", Session_Expires="7200", Min_SE="3600"),
            {"Session-Expires": ["3600;refresher=uac"]},
            False,
        ),
        (
            _asks(Supported="timer", Min_SE="3600"),
            {"Session-Expires": ["3600;refresher=uac"]},
            False,
        ),
    ],
)
def test_what_our_2xx_says(request_: Request, said: Headers | None, is_ours: bool | None) -> None:
    made = answer(request_, RULES, 0.0)
    if said is None:
        assert made is None
        return
    assert made is not None
    timer, headers = made
    assert timer.is_ours is is_ours
    assert headers["Session-Expires"] == said["Session-Expires"]
    assert ("Require" in headers) is not is_ours, "who must refresh must know it (9)"


def test_a_node_without_timers_of_its_own_follows_those_of_peers() -> None:
    rules = Rules(0)
    assert rules.ask() == {}
    assert answer(_asks(Supported="timer"), rules, 0.0) is None
    assert answer(_asks(Supported="timer", Session_Expires="7200"), rules, 0.0) is not None


def test_an_interval_below_our_least_is_refused_where_the_peer_knows_timers() -> None:  # 9
    assert is_too_short(_asks(Supported="timer", Session_Expires="89"), RULES)
    assert not is_too_short(_asks(Supported="timer", Session_Expires="90"), RULES)
    assert not is_too_short(_asks(Session_Expires="60"), RULES)
    assert not is_too_short(_asks(Supported="timer"), RULES)


@pytest.mark.parametrize("text", ["", "soon", "-1", "99999999999"])
def test_a_broken_interval_is_a_broken_request(text: str) -> None:
    with pytest.raises(BadMessage):
        is_too_short(_asks(Supported="timer", Session_Expires=text), RULES)
    assert agreed(Response(200, {"Session-Expires": [text]}), 0.0) is None


@pytest.mark.parametrize(
    ("said", "is_ours"), [("600;refresher=uac", True), ("600;refresher=uas", False), ("600", True)]
)
def test_what_a_2xx_to_us_agrees(said: str, is_ours: bool) -> None:
    timer = agreed(Response(200, {"Session-Expires": [said]}), 5.0)
    assert timer is not None
    assert (timer.interval_s, timer.is_ours) == (600, is_ours)
    assert agreed(Response(200, {}), 0.0) is None
    assert agreed(Response(200, {"Session-Expires": ["5"]}), 0.0) is None


def test_a_422_raises_what_we_ask_for() -> None:  # 7.3
    assert raised(Response(422, {"Min-SE": ["3600"]})) == 3600
    assert raised(Response(422, {})) is None
    assert raised(Response(422, {"Min-SE": ["x"]})) is None
    assert RULES.ask(3600) == {"Session-Expires": ["3600"], "Min-SE": ["3600"]}
    assert RULES.ask() == {"Session-Expires": ["1800"]}


def test_who_refreshes_does_so_half_way_and_gives_up_before_the_end() -> None:  # 7.4, 10
    ours = Refresh(1800, is_ours=True, now=100.0)
    assert ours.next_at == 1000.0
    ours.take_turn()
    assert ours.next_at == 1868.0
    ours.put_off(1005.0)
    assert ours.next_at == 1005.0
    ours.put_off(2000.0)
    assert ours.next_at == 1868.0
    theirs = Refresh(90, is_ours=False, now=0.0)
    assert (theirs.refresh_at, theirs.next_at) == (None, 60.0)


def test_a_422_within_a_call_is_heeded_once() -> None:
    timer = Refresh(90, is_ours=True, now=0.0)
    assert not timer.heed(Response(488, {"Min-SE": ["600"]}))
    assert timer.heed(Response(422, {"Min-SE": ["600"]}))
    assert timer.headers()["Session-Expires"] == ["600;refresher=uac"]
    assert not timer.heed(Response(422, {"Min-SE": ["700"]}))


def test_what_a_request_within_says_keeps_the_roles() -> None:
    assert Refresh(90, is_ours=True, now=0.0).headers() == {"Session-Expires": ["90;refresher=uac"]}
    assert Refresh(600, is_ours=False, now=0.0, least_s=600).headers() == {
        "Session-Expires": ["600;refresher=uas"],
        "Min-SE": ["600"],
    }
