"""Digest: the published examples, and what a nonce is good for."""

import pytest
from msgspec import structs

from sipcore.errors import BadMessage
from sipcore.message.digest import (
    Credentials,
    Nonces,
    challenge,
    ha1,
    is_right,
    parse_credentials,
    response_of,
)

# RFC 7616 3.9.1, both algorithms; the same request in RFC 2617 3.5
MUFASA = "Mufasa"
RFC7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html",'
    ' algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,'
    ' cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{response}",'
    ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    credentials = parse_credentials(RFC7616.format(algorithm=algorithm, response=response))
    assert credentials is not None
    secret = ha1(algorithm, MUFASA, "http-auth@example.org", "Circle of Life")
    assert response_of(credentials, "GET", secret) == response
    assert is_right(credentials, "GET", secret)
    assert not is_right(credentials, "POST", secret)
    assert not is_right(structs.replace(credentials, nc="00000002"), "GET", secret)


def test_the_example_of_rfc_2617() -> None:
    credentials = Credentials(
        MUFASA, "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "/dir/index.html",
        "6629FAE49393A05397450978507C4EF1", "MD5", "auth", "00000001", "0a4f113b",
    )  # fmt: skip
    assert is_right(credentials, "GET", ha1("MD5", MUFASA, "testrealm@host.com", "Circle Of Life"))


def test_without_qop_the_response_is_that_of_rfc_2069() -> None:
    credentials = parse_credentials(
        'Digest username="Mufasa", realm="testrealm@host.com", uri="/dir/index.html",'
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",response="670fd8c2df070c60b045671b8b24ff02"'
    )
    assert credentials is not None
    assert (credentials.algorithm, credentials.qop, credentials.nc) == ("MD5", "", "")
    assert is_right(credentials, "GET", ha1("MD5", MUFASA, "testrealm@host.com", "Circle Of Life"))


def test_another_scheme_is_not_read_and_a_broken_digest_is_refused() -> None:
    assert parse_credentials("NoOneKnowsThisScheme opaque-data=here") is None
    assert parse_credentials("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") is None
    for text in ("Digest username", 'Digest username="a', "Digest a=b c=d", "Digest a=b,,c=d"):
        with pytest.raises(BadMessage, match="broken credentials"):
            parse_credentials(text)


def test_quotes_and_case_of_fields_do_not_matter() -> None:
    found = parse_credentials('dIgEsT UserName="a\\"b", ALGORITHM="md5", QOP="AUTH", nc = 1 ,x=y')
    assert found == Credentials('a"b', "", "", "", "", "MD5", "auth", "1", "")


def test_foreign_bytes_in_credentials_are_only_wrong() -> None:
    found = parse_credentials('Digest username="\udce4", nonce="\udcff", response="\udcff"')
    assert found is not None
    assert not is_right(found, "REGISTER", "0" * 32)
    assert not Nonces(b"key").check(found, "192.0.2.1", 0)


def test_a_challenge_names_algorithm_and_staleness() -> None:
    assert challenge("SHA-256", "here", "n1") == (
        'Digest realm="here", nonce="n1", algorithm=SHA-256, qop="auth"'
    )
    assert challenge("MD5", "here", "n1", is_stale=True).endswith('qop="auth", stale=true')


def use(nonce: str, nc: str = "00000001", qop: str = "auth") -> Credentials:
    return Credentials("u", "r", nonce, "sip:r", "", "MD5", qop, nc, "c")


def test_a_nonce_is_good_for_its_own_source_alone() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make("192.0.2.1", 1000.9)
    assert not nonces.check(use(nonce), "192.0.2.2", 1001)
    assert nonces.check(use(nonce), "192.0.2.1", 1001)


def test_a_nonce_of_another_key_or_shape_is_not_ours() -> None:
    nonces = Nonces(b"key")
    nonce = Nonces(b"other").make("192.0.2.1", 1000)
    made = nonces.make("192.0.2.1", 1000)
    for other in (nonce, "", "x", made[:-1], made + "0", "zzzzzzzz" + made[8:], "\udcff" * 48):
        assert not nonces.check(use(other), "192.0.2.1", 1000)


def test_a_nonce_expires() -> None:
    nonces = Nonces(b"key", valid_s=300)
    nonce = nonces.make("192.0.2.1", 1000)
    assert not nonces.check(use(nonce), "192.0.2.1", 1301)
    assert not nonces.check(use(nonce), "192.0.2.1", 998), "made in the future"
    assert nonces.check(use(nonce), "192.0.2.1", 1300)


def test_a_count_serves_once_and_only_upwards() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make("192.0.2.1", 1000)
    counts = ("00000002", "00000001", "00000001", "00000003", "00000002", "00000004", "0000000f")
    said = [nonces.check(use(nonce, count), "192.0.2.1", 1001) for count in counts]
    assert said == [False, True, False, True, False, True, True], "the first is 1"
    for count in ("", "x", "-1", "0", "00000000"):
        assert not nonces.check(use(nonce, count), "192.0.2.1", 1001)


def test_without_qop_a_nonce_serves_once() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make("192.0.2.1", 1000)
    assert nonces.check(use(nonce, "", ""), "192.0.2.1", 1001)
    assert not nonces.check(use(nonce, "", ""), "192.0.2.1", 1001)


def test_only_the_last_nonces_are_good() -> None:
    nonces = Nonces(b"key", most=2)
    first, second, third = (nonces.make("192.0.2.1", 1000) for _ in range(3))
    assert not nonces.check(use(first), "192.0.2.1", 1000), "two were made after it"
    assert nonces.check(use(second), "192.0.2.1", 1000)
    assert nonces.check(use(third), "192.0.2.1", 1000)
    fourth = nonces.make("192.0.2.1", 1000)
    assert not nonces.check(use(second), "192.0.2.1", 1000), "a replay of what was forgotten"
    assert not nonces.check(use(second, "00000002"), "192.0.2.1", 1000)
    assert nonces.check(use(third, "00000002"), "192.0.2.1", 1000)
    assert nonces.check(use(fourth), "192.0.2.1", 1000), "its place is free"


def test_a_count_beyond_what_is_kept_is_stale() -> None:
    nonces = Nonces(b"key")
    nonce = nonces.make("192.0.2.1", 1000)
    assert nonces.check(use(nonce), "192.0.2.1", 1000)
    assert nonces.check(use(nonce, "0000ffff"), "192.0.2.1", 1000)
    assert not nonces.check(use(nonce, "00010000"), "192.0.2.1", 1000)
