"""A judged provisioning file into the tables: an upsert by id that deletes nothing.

What does not change is not written. Runs inside one transaction of its caller.
"""

import sqlite3
from collections.abc import Iterator
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from sipcore.store.draft import Row, credential_of
from sipcore.store.forms import AccountForm, CarrierForm, LoginForm, Placed, RegisterForm, TrunkForm
from sipcore.store.merge import Key, Merged
from sipcore.store.rows import (
    AccountRow,
    CarrierRow,
    CredentialRow,
    ExtensionRow,
    LoginRow,
    NumberRow,
    RegisterRow,
    Rows,
    Site,
    TrunkRow,
)
from sipcore.store.secrets import Secrets
from sipcore.store.tables import KINDS, write_credentials, write_peers, write_rows

Secret = TypeVar("Secret", RegisterRow, LoginRow)


class Counts(Struct, frozen=True):
    added: int = 0
    changed: int = 0
    unchanged: int = 0


class Report(Struct, frozen=True):
    """What an import did, by kind of row: carrier, customer, account, number, extension, trunk."""

    kinds: dict[str, Counts]

    @property
    def added(self) -> int:
        return sum(one.added for one in self.kinds.values())

    @property
    def changed(self) -> int:
        return sum(one.changed for one in self.kinds.values())

    @property
    def unchanged(self) -> int:
        return sum(one.unchanged for one in self.kinds.values())

    def __str__(self) -> str:
        return f"{self.added} added, {self.changed} changed, {self.unchanged} unchanged"


class Importer:
    """One import: what is stored, what is to be."""

    def __init__(self, merged: Merged, stored: Rows, site: Site, secrets: Secrets) -> None:
        self._merged = merged
        self._stored = stored
        self._site = site
        self._secrets = secrets
        self._positions = _positions(merged, stored)

    def write(self, connection: sqlite3.Connection) -> Report:
        """Write what is new or changed."""
        kinds: dict[str, Counts] = {}
        changed: list[tuple[str, list[Row]]] = []
        credentials: list[CredentialRow] = []
        for kind in KINDS:
            rows: list[Row] = []
            added = unchanged = 0
            for key, placed, draft in self._merged.new(kind):
                row, credential = self._final(placed, draft), self._credential(placed)
                was = _stored(self._stored, kind, key)
                if row == was and credential == self._stored_credential(was):
                    unchanged += 1
                    continue
                rows.append(row)
                added += was is None
                if credential is not None:
                    credentials.append(credential)
            kinds[kind] = Counts(added, len(rows) - added, unchanged)
            write_rows(connection, kind, rows)
            changed.append((kind, rows))
        for kind, rows in changed:
            write_peers(connection, kind, rows)
        write_credentials(connection, [row for _, rows in changed for row in rows], credentials)
        return Report(kinds)

    def _final(self, placed: Placed, row: Row) -> Row:
        """Return the row with what depends on the key and on what is stored."""
        form = placed.form
        if isinstance(row, NumberRow):
            return replace(row, position=self._positions[row.number])
        if isinstance(row, AccountRow) and isinstance(form, AccountForm):
            if form.hotline_password is None:
                return row
            return replace(row, pin=self._secrets.pin(row.id, form.hotline_password))
        if isinstance(row, CarrierRow) and isinstance(form, CarrierForm):
            carrier = self._stored.carriers.get(row.id) or row
            register = self._sealed(row.register, carrier.register, form.register, row)
            login = self._sealed(row.login, carrier.login, form.login, row)
            return replace(row, register=register, login=login)
        if isinstance(row, TrunkRow) and isinstance(form, TrunkForm):
            trunk = self._stored.trunks.get(row.id) or row
            return replace(row, login=self._sealed(row.login, trunk.login, form.login, row))
        return row

    def _sealed(
        self,
        new: Secret | None,
        was: Secret | None,
        form: RegisterForm | LoginForm | None,
        row: CarrierRow | TrunkRow,
    ) -> Secret | None:
        """Seal a password for a peer; the same password keeps its sealed text."""
        if new is None or form is None:
            return None
        sealed = "" if was is None else was.secret
        if not sealed or self._secrets.open_sealed(sealed, row.id) != form.password:
            sealed = self._secrets.seal(form.password, row.id)
        return replace(new, secret=sealed)

    def _credential(self, placed: Placed) -> CredentialRow | None:
        customer = self._merged.rows.customers.get(placed.customer)
        return None if customer is None else credential_of(placed, customer.domain, self._site)

    def _stored_credential(self, was: Row | None) -> CredentialRow | None:
        if isinstance(was, ExtensionRow):
            return self._stored.credentials.get((was.customer, was.number))
        if isinstance(was, TrunkRow) and was.user is not None:
            return self._stored.credentials.get((was.customer, was.user))
        return None


def _stored(stored: Rows, kind: str, key: Key) -> Row | None:
    rows: dict[Key, Row] = getattr(stored, f"{kind}s")
    return rows.get(key)


def _positions(merged: Merged, stored: Rows) -> dict[str, int]:
    """Return where each number of the file stands in its account; the first is the default one.

    A file that has all of an account's numbers orders them. One that has only some leaves the
    stored ones where they are and adds the new ones behind.
    """
    in_file: dict[str, list[str]] = {}
    for number, account in _numbers_of(merged):
        in_file.setdefault(account, []).append(number)
    before: dict[str, dict[str, int]] = {}
    for row in stored.numbers.values():
        if merged.rows.numbers[row.number].account == row.account:
            before.setdefault(row.account, {})[row.number] = row.position
    positions: dict[str, int] = {}
    for account, numbers in in_file.items():
        stays = before.get(account, {})
        if set(stays) <= set(numbers):
            positions.update({number: at for at, number in enumerate(numbers)})
            continue
        free = max(stays.values()) + 1
        for number in numbers:
            if number in stays:
                positions[number] = stays[number]
            else:
                positions[number], free = free, free + 1
    return positions


def _numbers_of(merged: Merged) -> Iterator[tuple[str, str]]:
    for _, _, row in merged.new("number"):
        assert isinstance(row, NumberRow)
        yield row.number, row.account
