"""Import: an upsert by id, whole or not at all, and twice changes nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipcore.errors import BadConfig
from sipcore.store.importer import Counts
from sipcore.store.sqlite import Store
from tests.store.files import (
    DEMO,
    account,
    acme,
    carrier,
    customer,
    extension,
    large,
    line_of,
    number,
    replaced,
    trunk,
)

TWO_NUMBERS = (number("36413501", "acme-1", "hotline"), number("36413502", "acme-1", "hotline"))


def dump(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "sipcore.db") as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def test_an_import_is_reported(store: Store) -> None:
    report = store.import_provisioning(DEMO)
    assert str(report) == "12 added, 0 changed, 0 unchanged"
    assert report.kinds["extension"] == Counts(added=3)


def test_the_same_file_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    text = DEMO + carrier("c", "register = { user = 'u', password = 'sesame' }\n")
    store.import_provisioning(text)
    before = dump(tmp_path)
    assert str(store.import_provisioning(text)) == "0 added, 0 changed, 13 unchanged"
    assert dump(tmp_path) == before


def test_a_change_is_an_upsert_and_nothing_is_deleted(store: Store) -> None:
    store.import_provisioning(DEMO)
    report = store.import_provisioning(
        replaced(
            DEMO, ('name = "Workshop"', 'name = "Werkstatt"'), ("channels = 500", "channels = 7")
        )
    )
    assert (report.added, report.changed, report.unchanged) == (0, 2, 10)
    part = customer("delta", account("delta-1"), extension("9001", "delta-1"))
    assert store.import_provisioning(part).added == 3
    book = store.load_book()
    assert set(book.customers) == {"acme", "beta", "delta"}
    workshop = book.extension("acme", "8002")
    assert workshop is not None
    assert workshop.name == "Werkstatt"
    assert book.carriers["carrier-a"].channels == 7


def test_with_one_mistake_nothing_is_imported(store: Store, tmp_path: Path) -> None:
    store.import_provisioning(DEMO)
    before = dump(tmp_path)
    text = replaced(DEMO, ('"Workshop"', '"Werkstatt"'), ("channels = 2", "channels = 0"))
    with pytest.raises(BadConfig) as caught:
        store.import_provisioning(text)
    line = line_of(text, "channels = 0")
    assert caught.value.faults == [f"line {line}: channels: Expected `int` >= 1"]
    assert dump(tmp_path) == before


def test_a_trunk_that_changes_its_user_leaves_no_old_one(store: Store) -> None:
    def pbx(user: str) -> str:
        return acme(trunk("pbx", "acme-1", f"user = '{user}'\npassword = 'x'\n"))

    store.import_provisioning(pbx("one"))
    store.import_provisioning(pbx("two"))
    book = store.load_book()
    assert book.identity("one", None) is None
    assert book.identity("two", None) is not None
    store.import_provisioning(acme(trunk("pbx", "acme-1")))
    assert store.load_book().identity("two", None) is None


def test_two_trunks_may_exchange_their_users_and_addresses(store: Store) -> None:
    def pbxes(first: str, second: str) -> str:
        return acme(
            *(
                trunk(
                    name,
                    "acme-1",
                    f"user = '{user}'\npassword = '{user}'\naccept_from = ['{address}']\n",
                )
                for name, user, address in (
                    ("a", first, f"192.0.2.{len(first)}/32"),
                    ("b", second, f"192.0.2.{len(second)}/32"),
                )
            )
        )

    store.import_provisioning(pbxes("x", "yy"))
    store.import_provisioning(pbxes("yy", "x"))
    book = store.load_book()
    identity = book.identity("x", "acme.example")
    assert identity is not None
    assert identity.id == "b"
    assert book.peer("192.0.2.1", 5060) == book.trunks["b"]


def test_equal_addresses_are_equal_however_they_are_written(store: Store, tmp_path: Path) -> None:
    entries = "'[2001:DB8:0::1]:5060', '192.0.2.1:5060', '2001:db8:0::/32'"
    store.import_provisioning(carrier("c", f"accept_from = [{entries}]\n"))
    connection = sqlite3.connect(tmp_path / "sipcore.db")
    kept = [entry for (entry,) in connection.execute("SELECT entry FROM peer ORDER BY entry")]
    connection.close()
    assert kept == ["192.0.2.1:5060", "2001:db8::/32", "[2001:db8::1]:5060"]
    assert store.load_book().peer("2001:db8::1", 5060) is not None


def test_two_customers_may_exchange_their_domains(store: Store) -> None:
    text = customer("acme") + customer("beta")
    store.import_provisioning(text)
    store.import_provisioning(
        text.replace("acme.example", "x")
        .replace("beta.example", "acme.example")
        .replace('"x"', '"beta.example"')
    )
    found = store.load_book().customer_at("acme.example")
    assert found is not None
    assert found.id == "beta"


def test_a_changed_deposit_is_a_mistake(store: Store) -> None:
    store.import_provisioning(DEMO)
    text = replaced(DEMO, ("deposit = 5000.00", "deposit = 5000.50"))
    with pytest.raises(BadConfig) as caught:
        store.import_provisioning(text)
    assert caught.value.faults == [
        f"line {line_of(text, 'deposit = ')}: deposit: was 5000.00, is 5000.50;"
        " it is posted once, recharge the account"
    ]
    store.import_provisioning(replaced(DEMO, ("deposit = 5000.00", "deposit = 5000")))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            customer("gamma", account("acme-1")),
            "line 7: account acme-1 belongs to customer acme",
        ),
        (
            customer("gamma", account("gamma-1"), number("36413501", "gamma-1", "hotline")),
            "line 11: number +862136413501 belongs to customer acme",
        ),
        (
            customer("gamma", account("g"), trunk("beta-pbx", "g")),
            "line 11: trunk beta-pbx belongs to customer beta",
        ),
        (
            customer("gamma").replace("gamma.example", "ACME.example"),
            "line 4: domain: acme.example is customer acme's already",
        ),
        (
            carrier("c", "accept_from = ['127.0.0.10/32']\n"),
            "line 5: accept_from: 127.0.0.10/32 is carrier carrier-a's already",
        ),
        (
            customer("beta", extension("8001", "acme-1")),
            "line 9: account: customer beta has no account acme-1",
        ),
        (
            customer("beta", extension("8001", "beta-1")),
            "line 6: account beta-1: 1 extensions, its plans grant 0",
        ),
        (
            customer("acme", account("acme-1", '"a39"', more="deposit = 5000\n")),
            "line 8: account acme-1: 3 extensions, its plans grant 0",
        ),
        (
            customer("acme", account("acme-2"), number("36413501", "acme-2", "8001")),
            "line 10: display_number of 8001: +862136413501 is not a number of account acme-1",
        ),
    ],
)  # fmt: skip
def test_a_file_is_judged_together_with_what_is_stored(store: Store, text: str, fault: str) -> None:
    store.import_provisioning(DEMO)
    assert fault in store.check(text)
    with pytest.raises(BadConfig):
        store.import_provisioning(text)


def test_the_first_number_is_the_accounts_default(store: Store) -> None:
    store.import_provisioning(acme(*TWO_NUMBERS))
    assert store.load_book().accounts["acme-1"].default_number == "+862136413501"


def test_a_file_with_all_numbers_orders_them_and_one_with_some_does_not(store: Store) -> None:
    store.import_provisioning(acme(*TWO_NUMBERS))
    third = number("36413503", "acme-1", "hotline")
    store.import_provisioning(acme(third, TWO_NUMBERS[1]))
    numbers = store.load_book().accounts["acme-1"].numbers
    assert numbers == ("+862136413501", "+862136413502", "+862136413503")
    store.import_provisioning(acme(third, *TWO_NUMBERS))
    numbers = store.load_book().accounts["acme-1"].numbers
    assert numbers == ("+862136413503", "+862136413501", "+862136413502")


def test_a_number_may_move_to_another_account_of_its_customer(store: Store) -> None:
    store.import_provisioning(acme(*TWO_NUMBERS))
    store.import_provisioning(
        customer("acme", account("acme-2"), number("36413501", "acme-2", "hotline"))
    )
    book = store.load_book()
    assert book.accounts["acme-1"].numbers == ("+862136413502",)
    assert book.accounts["acme-2"].numbers == ("+862136413501",)


CRASH = """
import os, signal, sys
from pathlib import Path
import sipcore.store.importer as importer
from sipcore.store.sqlite import Store

def dies(*_):
    os.kill(os.getpid(), signal.SIGKILL)

importer.write_credentials = dies
Store.open(Path(sys.argv[1])).import_provisioning(Path(sys.argv[2]).read_text("utf-8"))
"""


def test_an_import_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "large.toml"
    file.write_text(large(2000), "utf-8")
    store = Store.open(tmp_path / "data")
    store.import_provisioning(DEMO)
    store.close()
    before = dump(tmp_path / "data")
    run = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path / "data"), str(file)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert dump(tmp_path / "data") == before
    again = Store.open(tmp_path / "data")
    assert again.import_provisioning(file.read_text("utf-8")).added == 2040
    again.close()


@pytest.mark.parametrize("count", [5000, pytest.param(50_000, marks=pytest.mark.long)])
def test_a_large_file_is_imported_and_looked_up(store: Store, count: int) -> None:
    started = time.process_time()  # not the clock: others may have the cores
    assert store.import_provisioning(large(count)).added == count + count // 50
    imported = time.process_time()
    assert store.load_book().extension_count == count
    assert imported - started < 10
    assert time.process_time() - imported < 1


names = st.sampled_from(["a", "b", "c"])
parts = st.fixed_dictionaries(
    {
        "extensions": st.sets(st.integers(8000, 8020), max_size=6),
        "numbers": st.integers(0, 4),
        "has_trunk": st.booleans(),
    }
)


def written(at: int, name: str, part: dict[str, object]) -> str:
    extensions, count = part["extensions"], part["numbers"]
    assert isinstance(extensions, set)
    assert isinstance(count, int)
    return customer(
        name,
        account(f"{name}-1"),
        *(number(f"3641{at}{one:03d}", f"{name}-1", "hotline") for one in range(count)),
        *(extension(str(one), f"{name}-1") for one in sorted(extensions)),
        trunk(f"{name}-pbx", f"{name}-1", "user = 'pbx'\npassword = 'x'\n")
        if part["has_trunk"]
        else "",
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(names, parts, max_size=3), st.data())
def test_imports_in_parts_and_again_come_to_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    customers: dict[str, dict[str, object]],
    data: st.DataObject,
) -> None:
    texts = [written("abc".index(name), name, part) for name, part in customers.items()]
    whole = Store.open(tmp_path_factory.mktemp("whole"))
    pieces = Store.open(tmp_path_factory.mktemp("pieces"))
    report = whole.import_provisioning("".join(texts))
    for text in data.draw(st.permutations(texts)):
        pieces.import_provisioning(text)
    again = pieces.import_provisioning("".join(texts))
    assert (again.added, again.changed, again.unchanged) == (0, 0, report.added)
    one, other = whole.load_book(), pieces.load_book()
    assert one.accounts == other.accounts
    assert one.trunks == other.trunks
    assert all(one.extensions_of(name) == other.extensions_of(name) for name in customers)
    whole.close()
    pieces.close()
