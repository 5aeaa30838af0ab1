"""An import in a process of its own: the same Book comes over, fault and all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipcore.errors import BadConfig
from sipcore.policy.book import Book
from sipcore.rating.tariff import embedded_catalogue
from sipcore.store.apart import import_apart
from sipcore.store.database import StoreFault
from sipcore.store.handover import PART_ROWS, unpack
from sipcore.store.rows import Site
from sipcore.store.sqlite import Store
from tests.store.files import DEMO, large, replaced

TARIFF = embedded_catalogue().versions[-1]


def handed_over(data: bytes) -> Book:
    made: list[Book] = []

    def steps() -> Iterator[None]:
        made.append((yield from unpack(memoryview(data), TARIFF)))

    for _ in steps():
        pass
    return made[0]


def looks_the_same(one: Book, other: Book) -> None:
    for name in ("home", "hotline", "customers", "accounts", "trunks", "carriers"):
        assert getattr(one, name) == getattr(other, name)
    assert one.extension_count == other.extension_count
    for customer in one.customers.values():
        mine = one.extensions_of(customer.id)
        assert mine == other.extensions_of(customer.id)
        for user in [*mine, "beta-pbx", "nobody"]:
            for domain in (customer.domain, None, "elsewhere.example"):
                assert one.identity(user, domain) == other.identity(user, domain)
    for number in ("+862136413501", "+862136413599", "+8613800138000"):
        assert one.display_number(number) == other.display_number(number)
        assert one.destination_class(number) == other.destination_class(number)
    for address in ("127.0.0.10", "127.0.0.2", "192.0.2.1"):
        assert one.peer(address, 25090) == other.peer(address, 25090)
    assert [one.digest_like(n) for n in range(9)] == [other.digest_like(n) for n in range(9)]


def test_a_book_comes_over_whole(tmp_path: Path) -> None:
    own = replaced(
        DEMO, ('password = "workshop-8002"', 'password = "workshop-8002"\n  digest = ["SHA-256"]')
    )
    imported = import_apart(tmp_path, Site(), own)
    assert imported.report.added > 0
    store = Store.open(tmp_path)
    looks_the_same(store.load_book(), handed_over(bytes(imported.book)))
    store.close()


def test_a_large_book_comes_over_in_parts(tmp_path: Path) -> None:
    count = 2 * PART_ROWS
    store = Store.open(tmp_path)
    store.import_provisioning(large(count))
    data = store.pack_book()
    steps = sum(1 for _ in unpack(memoryview(data), TARIFF))
    assert steps >= 3
    looks_the_same(store.load_book(), handed_over(data))
    store.close()


def test_every_fault_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as bad:
        import_apart(tmp_path, Site(), DEMO.replace("verified = true", 'verified = "x"'))
    assert any("verified" in fault for fault in bad.value.faults)


def test_a_database_that_is_none_is_a_fault_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "sipcore.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreFault):
        import_apart(tmp_path, Site(), DEMO)
