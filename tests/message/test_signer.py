"""The client's half of digest: a server's half judges it, in every kind of challenge."""

from collections.abc import Iterator
from itertools import count

import pytest

from sipcore.message.digest import challenge, ha1, is_right, parse_credentials
from sipcore.message.message import Headers, Request, Response
from sipcore.message.signer import Signer, read_challenges

REALM, USER, PASSWORD = "ims.example", "+8621@ims.example", 'sec"ret'


def tokens() -> Iterator[str]:
    return (f"{number:016x}" for number in count())


def signer() -> Signer:
    made = tokens()
    return Signer(USER, PASSWORD, lambda chars: next(made)[:chars])


def request(uri: str = "sip:ims.example") -> Request:
    return Request("REGISTER", uri, {})


def asked(*rows: str, status: int = 401) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    headers: Headers = {name: list(rows)}
    return Response(status, headers)


def is_accepted(signed: Request, header: str = "Authorization") -> bool:
    credentials = parse_credentials(signed.headers[header][0])
    assert credentials is not None
    secret = ha1(credentials.algorithm, USER, REALM, PASSWORD)
    return is_right(credentials, signed.method, secret)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_challenge_is_answered_rightly(algorithm: str) -> None:
    one, signed = signer(), request()
    assert one.learn(asked(challenge(algorithm, REALM, "n1")))
    one.sign(signed)
    assert is_accepted(signed)


def test_without_qop_the_answer_is_that_of_rfc_2069() -> None:
    one, signed = signer(), request()
    assert one.learn(asked(f'Digest realm="{REALM}",nonce="n", opaque="a\\"b"'))
    one.sign(signed)
    assert is_accepted(signed)
    (row,) = signed.headers["Authorization"]
    assert "qop" not in row
    assert 'opaque="a\\"b"' in row


def test_a_proxy_is_answered_in_its_own_header() -> None:
    one, signed = signer(), request()
    assert one.learn(asked(challenge("MD5", REALM, "n1"), status=407))
    one.sign(signed)
    assert is_accepted(signed, "Proxy-Authorization")
    assert "Authorization" not in signed.headers


def test_the_topmost_algorithm_that_is_known_is_taken() -> None:  # RFC 8760 2.4
    rows = [challenge(one, REALM, "n1") for one in ("SHA-512-256", "SHA-256", "MD5")]
    assert [one.algorithm for one in read_challenges(asked(*rows))] == ["SHA-256"]


def test_a_nonce_is_used_on_with_a_rising_count() -> None:
    one = signer()
    one.learn(asked(challenge("MD5", REALM, "n1")))
    counts = []
    for _ in range(3):
        signed = request()
        one.sign(signed)
        assert is_accepted(signed)
        counts.append(signed.headers["Authorization"][0].partition("nc=")[2][:8])
        one.accepted()
    assert counts == ["00000001", "00000002", "00000003"]


def test_a_stale_nonce_is_replaced_and_a_wrong_password_is_not_said_twice() -> None:
    one = signer()
    assert one.learn(asked(challenge("MD5", REALM, "n1")))
    one.sign(request())
    assert one.learn(asked(challenge("MD5", REALM, "n2", is_stale=True)))
    one.sign(request())
    assert not one.learn(asked(challenge("MD5", REALM, "n3")))


def test_a_nonce_that_was_good_may_be_replaced_without_stale() -> None:
    one = signer()
    one.learn(asked(challenge("MD5", REALM, "n1")))
    one.sign(request())
    one.accepted()
    one.sign(request())
    assert one.learn(asked(challenge("MD5", REALM, "n2")))


def test_a_server_that_always_finds_the_nonce_stale_is_given_up() -> None:
    one = signer()
    rounds = 0
    while one.learn(asked(challenge("MD5", REALM, f"n{rounds}", is_stale=True))):
        one.sign(request())
        rounds += 1
    assert rounds == 3


@pytest.mark.parametrize(
    "row",
    [
        'Basic realm="x"',
        "Digest",
        'Digest realm="x"',
        'Digest nonce="x"',
        'Digest realm="x", nonce="y", algorithm=MD5-sess',
        'Digest realm="x", nonce="y", qop="auth-int"',
        'Digest realm="x, nonce=',
    ],
)
def test_what_cannot_be_answered_is_not_tried(row: str) -> None:
    one, signed = signer(), request()
    assert not one.learn(asked(row))
    one.sign(signed)
    assert signed.headers == {}


def test_a_realm_of_any_bytes_is_answered() -> None:
    one, signed = signer(), request()
    assert one.learn(asked('Digest realm="\udcc4\udce3", nonce="\udcff"'))
    one.sign(signed)
    assert signed.to_bytes()


def test_a_signer_does_not_show_its_password() -> None:
    one, signed = signer(), request()
    one.learn(asked(challenge("MD5", REALM, "n1")))
    one.sign(signed)
    assert PASSWORD not in repr(one) + signed.to_bytes().decode()
