"""The database file: opened, migrated, shared, and what happens when it cannot be written."""

import sqlite3
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from sipcore.errors import CannotStart
from sipcore.store.database import Database, StoreFault
from sipcore.store.sqlite import Store
from tests.store.files import DEMO, large

SCHEMAS = len(list(resources.files("sipcore.store").joinpath("schema").iterdir()))


def pragma(path: Path, name: str, value: int | None = None) -> object:
    connection = sqlite3.connect(path)
    set_to = "" if value is None else f" = {value}"
    found = connection.execute(f"PRAGMA {name}{set_to}").fetchone()
    connection.close()
    return found and found[0]


def test_a_new_file_has_the_present_schema_and_survives_power_cuts(tmp_path: Path) -> None:
    path = tmp_path / "sipcore.db"
    database = Database(path)
    assert pragma(path, "user_version") == SCHEMAS
    assert pragma(path, "journal_mode") == "wal"
    with database.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    database.close()
    Database(path).close()


def test_a_later_schema_is_refused_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sipcore.db"
    Database(path).close()
    pragma(path, "user_version", 99)
    with pytest.raises(CannotStart) as caught:
        Database(path)
    assert str(caught.value) == (
        f"{path} has schema 99, this sipcore knows up to {SCHEMAS}:"
        " it was written by a later version"
    )


def test_what_is_no_database_is_refused_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sipcore.db"
    path.write_bytes(b"not a database, but long enough to have a header" * 50)
    with pytest.raises(CannotStart, match=r"cannot be used: file is not a database$"):
        Database(path)


def test_a_folder_that_cannot_be_is_refused_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="file cannot be made"):
        Store.open(tmp_path / "file")
    (tmp_path / "sipcore.db").mkdir()
    with pytest.raises(CannotStart, match="cannot be opened"):
        Store.open(tmp_path)


def test_the_schema_keeps_what_the_checks_would_miss(tmp_path: Path) -> None:
    database = Database(tmp_path / "sipcore.db")
    with database.write() as connection:
        connection.execute("INSERT INTO customer VALUES ('a', 'a.example', '{}')")
    for statement in (
        "INSERT INTO customer VALUES ('b', 'a.example', '{}')",  # a domain is one customer's
        "INSERT INTO account VALUES ('x', 'nobody', '{}')",
        "INSERT INTO number VALUES ('+862136413501', 'a', 'nobody', 0, '{}')",
    ):
        with pytest.raises(StoreFault, match="constraint failed"), database.write() as connection:
            connection.execute(statement)
    database.close()


def test_a_block_that_raises_writes_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "sipcore.db")

    def fails_half_way() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO customer VALUES ('a', 'a.example', '{}')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_half_way()
    with database.read() as connection:
        assert connection.execute("SELECT count(*) FROM customer").fetchone() == (0,)
    database.close()


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    database = Database(tmp_path / "sipcore.db")
    with pytest.raises(StoreFault, match="no such table: absent"), database.read() as connection:
        connection.execute("SELECT * FROM absent")
    database.close()


def test_a_full_disk_refuses_an_import_whole(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.import_provisioning(DEMO)
    with store._database.read() as connection:  # the only way to a full disk without one
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(StoreFault, match="the database refused: database or disk is full"):
        store.import_provisioning(large(1000))
    assert set(store.load_book().customers) == {"acme", "beta"}
    with store._database.read() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert store.import_provisioning(large(1000)).added == 1020
    store.close()


OPEN = "import sys; from pathlib import Path; from sipcore.store.sqlite import Store;"
OPEN += "Store.open(Path(sys.argv[1])).close()"


def test_processes_that_open_a_new_folder_together_agree(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    runs = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(folder)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [(run.wait(), run.communicate()[1]) for run in runs] == [(0, b"")] * 4
    store = Store.open(folder)
    store.import_provisioning(DEMO)
    store.close()


RACE = """
import os, sys, time
from pathlib import Path
from sipcore.store.database import Database

def opens(path, at):
    if (child := os.fork()) == 0:
        while time.monotonic() < at:
            pass
        try:
            Database(path).close()
        except BaseException as fault:
            print(fault, flush=True)
        os._exit(0)
    return child

for number in range(25):
    path, at = Path(sys.argv[1]) / f"{number}.db", time.monotonic() + 0.03
    for child in [opens(path, at) for _ in range(6)]:
        os.waitpid(child, 0)
"""


def test_a_new_file_that_many_open_at_the_same_moment_is_refused_to_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b""


def test_another_process_sees_an_import_at_once(tmp_path: Path) -> None:
    node, tool = Store.open(tmp_path), Store.open(tmp_path)
    tool.import_provisioning(DEMO)
    assert set(node.load_book().customers) == {"acme", "beta"}
    node.close()
    tool.close()
