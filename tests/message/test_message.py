"""Views of a message, and the response that begins from a request."""

import pytest

from sipcore.errors import BadMessage
from sipcore.message.flow import Flow, Hop, host_port
from sipcore.message.headers import canonical
from sipcore.message.message import Request, Response, response_to
from sipcore.message.parse import parse
from sipcore.message.reason import q850_of
from sipcore.message.status import reason_of


def request(**fields: str) -> Request:
    """Make an INVITE; `Call_ID="1"` is a field."""
    have = {
        "Via": ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"],
        "From": ["<sip:a@x>;tag=1"],
        "To": ["<sip:b@x>"],
        "Call-ID": ["one"],
        "CSeq": ["1 INVITE"],
    }
    have |= {name.replace("_", "-"): [value] for name, value in fields.items()}
    return Request("INVITE", "sip:b@x", have)


def test_values_on_one_line_and_on_several_are_the_same() -> None:
    message = request()
    message.headers["Route"] = ["<sip:a;lr>, <sip:b,c@d>", '"x, y" <sip:c>;p="1,2"', ""]
    assert message.values("Route") == [
        "<sip:a;lr>",
        "<sip:b,c@d>",
        '"x, y" <sip:c>;p="1,2"',
    ]
    assert [str(one.uri) for one in message.addresses("Route")] == [
        "sip:a;lr",
        "sip:b,c@d",
        "sip:c",
    ]
    assert message.values("Path") == []
    assert message.first("Path") is None


def test_option_tags_leave_out_what_is_empty() -> None:
    message = request(Require="100rel, timer,", Supported="")
    assert message.tokens("Require") == ["100rel", "timer"]
    assert message.tokens("Supported") == []
    assert message.tokens("Proxy-Require") == []


def test_one_contact_is_a_dialogs_and_several_or_a_star_are_none() -> None:
    assert str(request(Contact="<sip:c@d>").contact) == str(request(Contact="sip:c@d").contact)
    assert request(Contact="<sip:c@d>, <sip:e@f>").contact is None
    assert request(Contact="*").contact is None
    assert request().contact is None


def test_numbers_are_read_up_to_a_greatest() -> None:
    assert request(Expires="60").number("Expires", 60) == 60
    assert request(Session_Expires="90;refresher=uas").number("Session-Expires", 99) == 90
    assert request(Retry_After="18 (in a meeting)").number("Retry-After", 99) == 18
    assert request().number("Expires", 60) is None
    for text in ("61", "", "-1", "1.5", "٣", "1" * 20):
        with pytest.raises(BadMessage, match="Expires is no number from 0 to 60"):
            request(Expires=text).number("Expires", 60)


def test_the_content_type_is_told_without_its_parameters() -> None:
    assert request(Content_Type="Application/SDP ; charset=utf-8").content_type == "application/sdp"
    assert request().content_type == ""


def test_only_what_is_the_same_is_equal() -> None:
    assert request() == request()
    assert request() != request(Subject="1")
    assert request() != "INVITE"
    assert len({request(), request()}) == 2


def test_people_can_read_a_message() -> None:
    assert repr(request()) == "<INVITE sip:b@x>"
    assert repr(Response(486, {})) == "<486 Busy Here>"


def test_a_response_copies_what_names_the_transaction() -> None:
    ask = request(Record_Route="<sip:p;lr>", Timestamp="54", Subject="secret")
    ask.headers["Via"].append("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2")
    ringing = response_to(ask, 180, "tag2")
    assert ringing.headers == {
        "Via": ask.headers["Via"],
        "From": ["<sip:a@x>;tag=1"],
        "To": ["<sip:b@x>;tag=tag2"],
        "Call-ID": ["one"],
        "CSeq": ["1 INVITE"],
        "Record-Route": ["<sip:p;lr>"],
    }
    trying = response_to(ask, 100)
    assert (trying.first("Timestamp"), trying.first("Record-Route")) == ("54", None)
    assert response_to(ask, 404, "t").first("Record-Route") is None
    assert ask.headers["To"] == ["<sip:b@x>"]


@pytest.mark.parametrize(
    ("to", "tagged"),
    [
        ("<sip:b@x>;tag=2", "<sip:b@x>;tag=2"),
        ("sip:b@x;TAG=2", "sip:b@x;TAG=2"),
        ("<sip:b@x;tag=2>", "<sip:b@x;tag=2>;tag=mine"),
        ('"tag=2" <sip:b@x>', '"tag=2" <sip:b@x>;tag=mine'),
        ("<sip:b@x>;vantag=2", "<sip:b@x>;vantag=2;tag=mine"),
        ('"unreadable <sip:b@x>', '"unreadable <sip:b@x>;tag=mine'),
    ],
)
def test_a_response_gets_a_tag_unless_to_has_one_of_its_own(to: str, tagged: str) -> None:
    assert response_to(request(To=to), 200, "mine").headers["To"] == [tagged]


def test_a_response_to_a_request_without_to_has_none() -> None:
    ask = request()
    del ask.headers["To"]
    assert "To" not in response_to(ask, 400, "mine").headers


def test_a_required_field_that_is_missing_is_named() -> None:
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        ask = request()
        del ask.headers[name]
        view = {"Call-ID": "call_id", "From": "from_"}.get(name, name.lower())
        with pytest.raises(BadMessage, match=f"{name} is missing"):
            getattr(ask, view)


def test_content_length_is_counted_when_a_message_is_written() -> None:
    ask = request()
    ask.body = "é".encode()
    assert b"\r\nContent-Length: 2\r\n\r\n\xc3\xa9" in ask.to_bytes()
    assert parse(ask.to_bytes()) == ask


def test_a_flow_says_whether_it_repeats_what_is_lost() -> None:
    udp = Flow("udp", "::1", 5060, "::2", 5062)
    assert (udp.is_reliable, str(udp)) == (False, "udp:[::2]:5062")
    assert Flow("tcp", "127.0.0.1", 5060, "127.0.0.1", 40000, 7).is_reliable


def test_a_hop_names_us_as_it_reaches_us() -> None:
    udp = Hop(Flow("udp", "10.0.0.1", 5060, "10.0.0.2", 5060), "10.0.0.1:5060")
    assert udp.via("z9hG4bK1") == "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport"
    assert udp.contact("8001") == "<sip:8001@10.0.0.1:5060>"
    tcp = Hop(Flow("tcp", "::1", 5060, "::2", 5060, 1), host_port("::1", 5060))
    assert tcp.contact() == "<sip:[::1]:5060;transport=tcp>"
    assert tcp.contact(scheme="sips") == tcp.contact(), "sips: is for TLS alone"


def test_unknown_statuses_and_names_are_spelled_by_rule() -> None:
    assert [reason_of(status) for status in (200, 499, 799)] == ["OK", "Bad Request", "Unknown"]
    assert [q850_of(status) for status in (200, 486, 404, 499)] == [16, 17, 1, 31]
    assert [canonical(name) for name in ("CALL-id", "I", "x-my-own")] == [
        "Call-ID",
        "Call-ID",
        "X-My-Own",
    ]


def test_the_topmost_via_is_the_first_on_its_line_though_it_has_no_parameters() -> None:
    message = request(Via="SIP/2.0/UDP 192.0.2.1, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;rport")
    marks = message.read()
    assert (marks.sent_by, marks.branch, marks.is_plain) == ("192.0.2.1:5060", "", False)
