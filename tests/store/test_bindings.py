"""Bindings are written behind: nobody waits for the disk, nothing is forgotten."""

import sqlite3
import threading
from importlib import resources
from pathlib import Path

import pytest
from msgspec.structs import astuple, replace

from sipcore.message.flow import GONE
from sipcore.store.bindings import Binding, BindingWriter, Changes, save_bindings
from sipcore.store.database import Database, StoreFault
from sipcore.store.sqlite import Store

NOW = 1_800_000_000.0
PHONE = Binding(
    customer="acme",
    extension="8001",
    contact="sip:8001@192.0.2.7:5062;transport=tcp",
    instance='"<urn:uuid:1>"',
    transport="tcp",
    local_address="127.0.0.1",
    local_port=5060,
    remote_address="2001:db8::7",
    remote_port=40123,
    call_id="reg-1",
    cseq=7,
    expires_at=NOW + 60,
    q=0.5,
    user_agent="Yealink 话机",
    path="<sip:edge.example;lr>",
    connection=GONE,  # as it is once it was stored
)


def phone(number: int, cseq: int = 1) -> Binding:
    return replace(PHONE, extension=str(number), cseq=cseq)


class Disk:
    """Stands in for save_bindings: tells when it was asked, refuses while it is full."""

    def __init__(self) -> None:
        self.asked: list[Changes] = []
        self.is_full = False
        self._told = threading.Condition()

    def save(self, database: Database, changes: Changes) -> None:
        with self._told:
            self.asked.append(dict(changes))
            self._told.notify_all()
        if self.is_full:
            raise StoreFault("database or disk is full")
        save_bindings(database, changes)

    def wait_until_asked(self, times: int) -> None:
        with self._told:
            assert self._told.wait_for(lambda: len(self.asked) >= times, 10)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "sipcore.db")


def test_bindings_come_back_whole(store: Store, tmp_path: Path) -> None:
    store.save_bindings({PHONE.key: PHONE})
    store.close()
    again = Store.open(tmp_path)
    assert again.load_bindings(NOW) == [PHONE]
    again.close()


def test_any_bytes_come_back_as_they_were(store: Store) -> None:
    gbk = "\u8bdd\u673a".encode("gb18030").decode("utf-8", "surrogateescape")
    phone = replace(PHONE, user_agent=gbk, call_id=f"{gbk}@\u8bdd", instance=gbk, path=gbk)
    store.save_bindings({phone.key: phone})
    assert store.load_bindings(NOW) == [phone]
    store.save_bindings({phone.key: None})
    assert store.load_bindings(NOW) == []


def test_expired_bindings_are_gone(store: Store) -> None:
    store.save_bindings({PHONE.key: PHONE})
    assert store.load_bindings(NOW + 60) == []
    assert store.load_bindings(NOW) == []


def test_a_binding_is_replaced_and_removed_by_its_contact(store: Store) -> None:
    inline = store.inline_bindings()
    inline.put(PHONE)
    inline.put(replace(PHONE, cseq=8))
    inline.put(replace(PHONE, contact="sip:other"))
    assert [one.cseq for one in store.load_bindings(NOW)] == [8, 7]
    inline.remove(PHONE.key)
    inline.remove(("nobody", "1", "sip:none", ""))
    assert [one.contact for one in store.load_bindings(NOW)] == ["sip:other"]


def test_close_writes_what_is_left(store: Store) -> None:
    writer = store.binding_writer(flush_s=3600)
    writer.put(phone(8001))
    writer.put(phone(8002))
    writer.remove(phone(8001).key)
    writer.close()
    assert [one.extension for one in store.load_bindings(NOW)] == ["8002"]


def test_what_comes_together_is_written_together_and_the_last_state_wins(
    database: Database,
) -> None:
    disk = Disk()
    writer = BindingWriter(database, flush_s=0.05, save=disk.save)
    for cseq in range(100):
        writer.put(phone(8001, cseq))
        writer.put(phone(8002, cseq))
    disk.wait_until_asked(1)
    writer.close()
    assert len(disk.asked) <= 3
    assert disk.asked[-1][phone(8001).key] == phone(8001, 99)
    database.close()


def test_a_full_disk_is_loud_once_and_nothing_is_lost(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    disk.is_full = True
    writer = BindingWriter(database, flush_s=0.0, retry_s=0.0, save=disk.save)
    writer.put(phone(8001, 1))
    disk.wait_until_asked(3)
    writer.put(phone(8001, 2))  # newer than what waits
    writer.put(phone(8002))
    disk.is_full = False
    disk.wait_until_asked(len(disk.asked) + 1)
    writer.close()
    assert caplog.text.count("bindings-not-written") == 1
    assert "bindings-written-again" in caplog.text
    assert writer.fault is None
    assert len(writer) == 0
    with database.read() as connection:
        found = connection.execute("SELECT extension, cseq FROM binding").fetchall()
    assert found == [("8001", 2), ("8002", 1)]
    database.close()


def test_a_disk_that_stays_full_does_not_keep_the_node_from_ending(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    disk.is_full = True
    writer = BindingWriter(database, flush_s=3600, save=disk.save)
    writer.put(phone(8001))
    writer.close()
    assert writer.fault == "database or disk is full"
    assert "bindings-lost count=1" in caplog.text
    database.close()


def test_put_does_not_wait_for_a_slow_disk(database: Database) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(_database: Database, _changes: Changes) -> None:
        entered.set()
        assert go_on.wait(10)

    writer = BindingWriter(database, flush_s=0.0, save=slow)
    writer.put(phone(8001))
    assert entered.wait(10)
    writer.put(phone(8002))  # would hang here
    assert len(writer) == 1
    go_on.set()
    writer.close()
    database.close()


def test_two_flows_of_a_device_may_have_one_contact(store: Store) -> None:
    inline = store.inline_bindings()
    first, second = (replace(PHONE, instance=f"<urn:uuid:1>#{number}") for number in (1, 2))
    inline.put(first)
    inline.put(second)
    assert store.load_bindings(NOW) == [first, second]
    inline.remove(first.key)
    assert store.load_bindings(NOW) == [second]


def test_bindings_of_the_first_schema_are_read(tmp_path: Path) -> None:
    schema = resources.files("sipcore.store").joinpath("schema", "0001_provisioning.sql")
    old = sqlite3.connect(tmp_path / "sipcore.db")
    old.executescript(schema.read_text("utf-8"))
    old.execute(f"INSERT INTO binding VALUES ({', '.join('?' * 15)})", astuple(PHONE)[:15])
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    store = Store.open(tmp_path)
    assert store.load_bindings(NOW) == [PHONE]
    store.close()
