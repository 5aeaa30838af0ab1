"""The provisioning tables read into rows and rows written into tables. Plain SQL, no judgement."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sipcore.policy.peers import parse_peer_address
from sipcore.store.draft import Row
from sipcore.store.rows import (
    AccountRow,
    CarrierRow,
    CredentialRow,
    CustomerRow,
    ExtensionRow,
    NumberRow,
    Rows,
    TrunkRow,
)

Body = TypeVar("Body", bound=Struct)
_ENCODER = msgspec.json.Encoder()
_CREDENTIAL = "credential.customer, user, kind, id, realm, md5, md5_domain, sha256, sha256_domain"
# In this order: what is referred to is written first.
KINDS = ("carrier", "customer", "account", "number", "extension", "trunk")


def read_rows(connection: sqlite3.Connection) -> Rows:
    """Read everything provisioned."""
    return replace(
        read_small_rows(connection),
        extensions={
            (one.customer, one.number): one
            for one in _bodies(connection, "extension", ExtensionRow)
        },
        credentials={
            (one.customer, one.user): one
            for one in (
                CredentialRow(*columns)
                for columns in connection.execute(f"SELECT {_CREDENTIAL} FROM credential")
            )
        },
    )


def read_small_rows(connection: sqlite3.Connection) -> Rows:
    """Read everything but extensions and credentials."""
    return Rows(
        carriers={one.id: one for one in _bodies(connection, "carrier", CarrierRow)},
        customers={one.id: one for one in _bodies(connection, "customer", CustomerRow)},
        accounts={one.id: one for one in _bodies(connection, "account", AccountRow)},
        numbers={one.number: one for one in _bodies(connection, "number", NumberRow)},
        extensions={},
        trunks={one.id: one for one in _bodies(connection, "trunk", TrunkRow)},
        credentials={},
    )


def read_extensions(connection: sqlite3.Connection) -> Iterator[ExtensionRow]:
    """Read extensions one by one: all at once would leave the process as large as they are."""
    decode = msgspec.json.Decoder(ExtensionRow).decode
    for (body,) in connection.execute("SELECT body FROM extension"):
        yield decode(body)


def read_credentials(
    connection: sqlite3.Connection, realm: str
) -> Iterator[tuple[CredentialRow, ExtensionRow | None]]:
    """Read the credentials under a realm one by one, each with its extension, if it is one's."""
    decode = msgspec.json.Decoder(ExtensionRow).decode
    for *columns, body in connection.execute(
        f"SELECT {_CREDENTIAL}, (SELECT body FROM extension WHERE kind = 'extension'"
        " AND extension.customer = credential.customer AND number = credential.id)"
        " FROM credential WHERE realm = ?",
        (realm,),
    ):
        yield CredentialRow(*columns), None if body is None else decode(body)


def count_void_credentials(connection: sqlite3.Connection, realm: str) -> int:
    """Return how many credentials are under other realms, where they are worth nothing."""
    found = connection.execute("SELECT count(*) FROM credential WHERE realm != ?", (realm,))
    (count,) = found.fetchone()
    return int(count)


def _bodies(connection: sqlite3.Connection, table: str, kind: type[Body]) -> list[Body]:
    """Decode all bodies of a table at once: one call of the decoder instead of one a row."""
    bodies = [body for (body,) in connection.execute(f"SELECT body FROM {table}")]
    found: list[Body] = msgspec.json.decode(f"[{','.join(bodies)}]", type=list[kind])  # type: ignore[valid-type]
    return found


_UPSERTS = {
    "carrier": "INSERT INTO carrier (id, body) VALUES (?, ?)"
    " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    "customer": "INSERT INTO customer (id, domain, body) VALUES (?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET domain = excluded.domain, body = excluded.body",
    "account": "INSERT INTO account (id, customer, body) VALUES (?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    "number": "INSERT INTO number (number, customer, account, position, body)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE"
    " SET account = excluded.account, position = excluded.position, body = excluded.body",
    "extension": "INSERT INTO extension (customer, number, account, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (customer, number)"
    " DO UPDATE SET account = excluded.account, body = excluded.body",
    "trunk": "INSERT INTO trunk (id, customer, account, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET account = excluded.account, body = excluded.body",
}


def write_rows(connection: sqlite3.Connection, kind: str, rows: Sequence[Row]) -> None:
    """Insert or replace rows of one kind, and what they are known by: domains, addresses."""
    if kind == "customer":  # two customers may exchange their domains in one file
        connection.executemany(
            "UPDATE customer SET domain = '?' || id WHERE id = ?", [(_key(row),) for row in rows]
        )
    connection.executemany(_UPSERTS[kind], [(*_columns(row), _body(row)) for row in rows])
    if kind in ("carrier", "trunk"):
        _forget(connection, "peer", kind, rows)


def write_peers(connection: sqlite3.Connection, kind: str, rows: Iterable[Row]) -> None:
    """Insert accept_from entries. Those of all rows that changed must be gone before."""
    connection.executemany(
        "INSERT INTO peer (entry, kind, id) VALUES (?, ?, ?)",
        [
            (canonical(entry), kind, row.id)
            for row in rows
            if isinstance(row, CarrierRow | TrunkRow)
            for entry in row.accept_from
        ],
    )


def write_credentials(
    connection: sqlite3.Connection, changed: Sequence[Row], credentials: Iterable[CredentialRow]
) -> None:
    """Replace the credentials of the rows that changed."""
    _forget(
        connection, "credential", "trunk", [row for row in changed if isinstance(row, TrunkRow)]
    )
    connection.executemany(
        "INSERT OR REPLACE INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [msgspec.structs.astuple(one) for one in credentials],
    )


def canonical(entry: str) -> str:
    """Write an accept_from entry so that equal ones are equal texts."""
    parsed = parse_peer_address(entry)
    if parsed.port is None:
        return str(ip_network(entry))
    host = ip_address(entry.rpartition(":")[0].strip("[]"))
    return f"[{host}]:{parsed.port}" if host.version == 6 else f"{host}:{parsed.port}"


def _forget(connection: sqlite3.Connection, table: str, kind: str, rows: Sequence[Row]) -> None:
    connection.executemany(
        f"DELETE FROM {table} WHERE kind = ? AND id = ?", [(kind, _key(row)) for row in rows]
    )


def _key(row: Row) -> str:
    return row.number if isinstance(row, NumberRow | ExtensionRow) else row.id


def _columns(row: Row) -> tuple[str | int, ...]:
    """Return the relational columns, in the order of _UPSERTS."""
    match row:
        case CarrierRow():
            return (row.id,)
        case CustomerRow():
            return (row.id, row.domain)
        case AccountRow():
            return (row.id, row.customer)
        case NumberRow():
            return (row.number, row.customer, row.account, row.position)
        case ExtensionRow():
            return (row.customer, row.number, row.account)
        case TrunkRow():
            return (row.id, row.customer, row.account)


def _body(row: Row) -> str:
    return _ENCODER.encode(row).decode()
