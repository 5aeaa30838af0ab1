"""URIs, addresses, parameters, Via and CSeq: how they are read, written and compared."""

import pytest

from sipcore.errors import BadMessage
from sipcore.message.address import Address, parse_address
from sipcore.message.uri import Uri
from sipcore.message.values import (
    CSeq,
    Via,
    format_params,
    parse_cseq,
    parse_params,
    parse_via,
    quote,
    split_commas,
    unquote,
)


def test_a_sip_uri_has_its_parts() -> None:
    uri = Uri.parse("SIPS:a%20b:pw@Host.Example:5061;transport=TCP;lr?subject=x")
    assert uri == Uri(
        "sips", "a b", "pw", "Host.Example", 5061, {"transport": "TCP", "lr": None}, "subject=x"
    )
    assert (uri.transport, uri.address) == ("tcp", "Host.Example")
    assert str(uri) == "sips:a%20b:pw@Host.Example:5061;transport=TCP;lr?subject=x"


def test_an_ipv6_host_is_told_with_and_without_brackets() -> None:
    uri = Uri.parse("sip:[2001:db8::1]:5070")
    assert (uri.host, uri.address, uri.port, uri.transport) == (
        "[2001:db8::1]", "2001:db8::1", 5070, None,
    )  # fmt: skip


def test_a_tel_uri_has_a_number() -> None:
    uri = Uri.parse("tel:+86-21-3641;phone-context=example.com")
    assert (uri.user, uri.params) == ("+86-21-3641", {"phone-context": "example.com"})
    assert str(uri) == "tel:+86-21-3641;phone-context=example.com"


def test_an_unknown_scheme_is_kept_whole() -> None:
    assert Uri.parse("URN:service:sos").opaque == "service:sos"


@pytest.mark.parametrize(
    "text",
    ["", "sip", "sip:", "sip:@x", "sip:a@", "sip:a@x:", "sip:a@x:0", "sip:a@x:65536", "sip:a b@x",
     "sip:a@x;;b", "sip:a@x;=1", "tel:", "tel:xyz", "tel:1;;", "tel:1;=", "sip:2001:db8::1",
     "sip:a@x;b@c", "1x:y", "x:<y>", "ſip:a@x\n"],
)  # fmt: skip
def test_a_broken_uri_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        Uri.parse(text)


def test_an_escaped_line_end_stays_escaped_wherever_it_stands() -> None:
    uri = Uri.parse("sip:a%0D%0AX:b%0D%0A@x;p%0D%0AX=%0D%0AY;q%3B%0A")
    assert uri.user == "a\r\nX"
    assert uri.params == {"p\r\nx": "\r\nY", "q;\n": None}
    assert "\r" not in str(uri)
    assert Uri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61@X.example;transport=tcp", "sip:a@x.EXAMPLE;Transport=TCP"),
        ("sip:a@x;security=on", "sip:a@x"),
        ("sip:a@x;lr", "sip:a@x;lr"),
        ("sip:a@x;p;q=1", "sip:a@x;q=1"),
    ],
)
def test_uris_that_lead_to_the_same_are_the_same(one: str, other: str) -> None:
    assert Uri.parse(one).is_same(Uri.parse(other))
    assert Uri.parse(other).is_same(Uri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:a@x", "sip:A@x"),
        ("sip:a@x", "sips:a@x"),
        ("sip:a@x", "sip:a@x:5060"),
        ("sip:a@x", "sip:a@y"),
        ("sip:a@x", "sip:a@x;transport=udp"),
        ("sip:a@x;q=1", "sip:a@x;q=2"),
        ("urn:a", "urn:b"),
    ],
)
def test_uris_that_may_lead_elsewhere_are_not_the_same(one: str, other: str) -> None:
    assert not Uri.parse(one).is_same(Uri.parse(other))


def test_an_address_without_brackets_gives_its_parameters_to_the_header() -> None:
    assert parse_address(" sip:a@x ;tag=1 ") == Address(
        Uri("sip", "a", None, "x"), "", {"tag": "1"}
    )
    assert parse_address("<sip:a@x;tag=1>").tag is None
    for text in ("sip:a@x?b=c", "sip:a,b@x"):
        with pytest.raises(BadMessage, match="needs angle brackets"):
            parse_address(text)


def test_a_display_name_may_be_quoted_bare_or_empty() -> None:
    assert parse_address('"A \\"B\\" <C>" <sip:a@x>').display == 'A "B" <C>'
    assert parse_address("Bell, Alexander \t<sip:a@x>").display == "Bell, Alexander"
    assert parse_address('""<sip:a@x>').display == ""
    assert parse_address("<sip:a@x>").to_text() == "<sip:a@x>"
    assert Address(Uri(host="x"), 'a"\\').to_text() == '"a\\"\\\\" <sip:x>'


def test_parameters_are_read_with_blanks_quotes_and_without_values() -> None:
    assert parse_params(' ; A = 1 ;b; c="x;\\"y" ') == {"a": "1", "b": None, "c": 'x;"y'}
    assert format_params({"a": "1", "b": None, "c": "x y", "d": ""}) == ';a=1;b;c="x y";d=""'
    for text in (";", ";;a", ";a=", "a", ';a="', ";a b"):
        with pytest.raises(BadMessage, match="broken parameter"):
            parse_params(text)


def test_quoting_is_undone_by_unquoting() -> None:
    for text in ("", "a", '"', "\\", '\\"', "a\\b\tc"):
        assert unquote(quote(text)) == text


def test_commas_divide_outside_quotes_and_brackets_only() -> None:
    assert split_commas('a, "b,\\",c" <d,e> , f') == ["a", '"b,\\",c" <d,e>', "f"]
    assert split_commas("a") == ["a"]


def test_a_cseq_is_a_number_and_a_method() -> None:
    assert parse_cseq("0009 \t INVITE") == CSeq(9, "INVITE")
    assert parse_cseq("1\tINVITE") == CSeq(1, "INVITE")
    assert parse_cseq(f"{(1 << 31) - 1} A").number == (1 << 31) - 1
    for text in ("", "1", "A 1", "-1 A", "1 A B", "²1 A", f"{1 << 31} A"):
        with pytest.raises(BadMessage, match="CSeq"):
            parse_cseq(text)


def test_a_via_has_its_parts() -> None:
    via = parse_via("SIP / 2.0 / udp  Host.Example : 5070 ;branch=z9hG4bKa;rport")
    assert via == Via(
        "UDP", "Host.Example", 5070, {"branch": "z9hG4bKa", "rport": None}, "host.example:5070"
    )
    assert (via.branch, via.sent_by) == ("z9hG4bKa", "host.example:5070")
    bare = parse_via("SIP/2.0/TCP [2001:db8::1]")
    assert (bare.branch, bare.sent_by, bare.port) == ("", "[2001:db8::1]:5060", None)
    for text in (
        "",
        "SIP/2.0 x",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP x y",
        "HTTP/1.1/TCP x",
        "SIP/2.0/UDP x:0",
    ):
        with pytest.raises(BadMessage, match="Via"):
            parse_via(text)
