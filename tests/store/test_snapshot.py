"""From the database to the Book: the demonstration's town, complete."""

from pathlib import Path

import pytest

from sipcore.rating.tariff import parse_tariff
from sipcore.store.sqlite import Store
from tests.store.files import DEMO, account, carrier, customer, number, trunk


def test_the_demonstration_becomes_a_book(store: Store) -> None:
    store.import_provisioning(DEMO)
    book = store.load_book()
    assert [carrier.id for rank in book.carrier_ranks for carrier in rank] == [
        "carrier-a",
        "carrier-b",
    ]
    assert book.accounts["acme-1"].concurrency == 2  # pbx-2-8 and ext-4
    assert book.accounts["beta-1"].concurrency == 2  # a39 and trunk
    assert book.customers["acme"].is_verified
    assert book.customers["acme"].language == "zh"
    front = book.extension("acme", "8001")
    assert front is not None
    assert (front.display_number, front.is_recorded) == ("+862136413501", True)
    soft = book.extension("acme", "8003")
    assert soft is not None
    assert soft.device == "soft"
    leads = {
        text: owned and owned.leads_to
        for text in ("+862136413501", "+862136413599")
        for owned in (book.display_number(text),)
    }
    assert leads == {
        "+862136413501": ("extension", "8001"),
        "+862136413599": ("trunk", "beta-pbx"),
    }
    assert book.peer("127.0.0.11", 5060) == book.carriers["carrier-b"]
    assert book.peer("127.0.0.2", 25090) == book.trunks["beta-pbx"]
    assert book.peer("127.0.0.1", 5060) is None
    identity = book.identity("beta-pbx", "127.0.0.1")
    assert identity is not None
    assert (identity.kind, identity.id, identity.account) == ("trunk", "beta-pbx", "beta-1")
    assert book.destination_class("+8613800000000") == "national"
    assert book.hotline == "10088"


def test_a_number_may_lead_to_the_hotline_and_a_trunk_may_register(store: Store) -> None:
    text = customer("a", account("a-1"), number("36413501", "a-1", "hotline"))
    text += trunk("pbx", "a-1", "user = 'pbx'\npassword = 'x'\n").replace(
        'uri = "sip:192.0.2.1"\n', ""
    )
    store.import_provisioning(text)
    book = store.load_book()
    owned = book.display_number("+862136413501")
    assert owned is not None
    assert owned.leads_to == ("hotline", "")
    assert book.trunks["pbx"].uri is None
    assert book.trunks["pbx"].user == "pbx"


def test_a_plan_that_is_no_longer_sold_grants_nothing_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(tmp_path)
    store.import_provisioning(customer("a", account("a-1", '"a39", "pbx-2-8"')))
    store.close()
    tariff = parse_tariff(
        'version = "2"\nfrom = 2027-01-01\n'
        '[[plan]]\nid = "a39"\nname = "A"\nkind = "line"\nrent = 39\nconcurrency = 1\n'
    )
    later = Store.open(tmp_path, tariff=tariff)
    assert later.load_book().accounts["a-1"].concurrency == 1
    assert "plan-not-in-tariff account=a-1 plans=pbx-2-8" in caplog.text
    assert later.check(customer("a")) == []
    later.close()


def test_a_peer_may_say_what_it_wants_when_a_datagram_is_too_small(store: Store) -> None:
    text = carrier("a", "over_mtu = 'tcp'\n") + customer("c", account("c-1"))
    store.import_provisioning(text + trunk("pbx", "c-1", "over_mtu = 'udp'\n"))
    book = store.load_book()
    assert (book.carriers["a"].over_mtu, book.trunks["pbx"].over_mtu) == ("tcp", "udp")
