"""Who is who: look-ups in the snapshot."""

import pytest

from sipcore.policy.attempt import Source, source_of
from sipcore.policy.book import Account
from tests.policy.town import CARRIER_A, CARRIER_B, PBX, ROWS, TOWN, town


@pytest.mark.parametrize(
    ("user", "domain", "found"),
    [
        ("8001", "acme.example", ("acme", "8001")),
        ("8001", "ACME.example", ("acme", "8001")),
        ("8001", "beta.example", ("beta", "8001")),
        ("8001@acme.example", "acme.example", ("acme", "8001")),
        ("8001@acme.example", "127.0.0.1", ("acme", "8001")),
        ("8001@beta.example", "foreign.example", ("beta", "8001")),
        ("8001@acme.example", "beta.example", None),  # two customers named: neither
        ("8001@foreign.example", "acme.example", None),
        ("8001@127.0.0.1", "127.0.0.1", None),
        ("8001", "127.0.0.1", None),  # not unique on the node
        ("8001", "foreign.example", None),
        ("8001", None, None),
        ("8001", "", None),
        ("8002", "127.0.0.1", ("acme", "8002")),  # unique on the node
        ("8002", "foreign.example", ("acme", "8002")),
        ("8002", "beta.example", None),  # a known domain is not left for another customer's
        ("beta-pbx", None, ("beta", "beta-pbx")),
        ("nobody", "acme.example", None),
        ("nobody", None, None),
    ],
)
def test_a_digest_user_is_found(
    user: str, domain: str | None, found: tuple[str, str] | None
) -> None:
    identity = TOWN.identity(user, domain)
    assert (identity and (identity.customer, identity.id)) == found


def test_three_customers_with_the_same_user_stay_ambiguous() -> None:
    known = list(ROWS.identities)
    book = town(identities=[*known, known[0]])
    assert book.identity("8001", None) is None


@pytest.mark.parametrize(
    ("algorithm", "user", "ha1"),
    [
        ("MD5", "8001", bytes(range(16)).hex()),
        ("MD5", "8001@acme.example", bytes(range(16, 32)).hex()),
        ("SHA-256", "8001", bytes(range(32, 64)).hex()),
        ("SHA-256", "8001@acme.example", bytes(range(64, 96)).hex()),
        ("SHA-512-256", "8001", None),
    ],
)
def test_a_hash_is_chosen_by_algorithm_and_user_form(
    algorithm: str, user: str, ha1: str | None
) -> None:
    identity = TOWN.identity("8001", "acme.example")
    assert identity is not None
    assert identity.ha1(algorithm, user) == ha1


def test_rows_are_found_by_their_keys() -> None:
    customer = TOWN.customer_at("Acme.Example")
    assert customer is not None
    assert customer.id == "acme"
    assert TOWN.customer_at("foreign.example") is None
    extension = TOWN.extension("acme", "8001")
    assert extension is not None
    assert extension.name == "Front desk"
    assert TOWN.extension("acme", "9999") is None
    assert TOWN.extension("nobody", "8001") is None
    assert set(TOWN.extensions_of("beta")) == {"8001"}
    assert TOWN.extensions_of("nobody") == {}
    assert TOWN.extension_count == 7
    assert TOWN.carriers["carrier-a"] is CARRIER_A
    assert TOWN.carrier_ranks == ((CARRIER_A,), (CARRIER_B,))
    assert TOWN.destination_class("+862012345678") == "national"
    assert TOWN.destination_class("+12125551234") is None


def test_an_account_without_numbers_has_no_default() -> None:
    assert Account("a", "c").default_number is None


def test_a_source_is_what_a_peer_or_an_identity_stands_for() -> None:
    identity = TOWN.identity("8001", "acme.example")
    assert identity is not None
    assert source_of(identity) == Source("extension", "8001", "acme", "acme-1")
    assert source_of(PBX) == Source("trunk", "beta-pbx", "beta", "beta-1")
    assert source_of(CARRIER_A) == Source("carrier", "carrier-a")
    assert TOWN.peer("127.0.0.10", 5060) is CARRIER_A
    assert TOWN.peer("127.0.0.1", 5060) is None
