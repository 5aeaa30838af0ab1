"""From stored rows to the Book that calls are decided on: plans become totals."""

import sqlite3
from collections.abc import Iterator

from sipcore.log import logger
from sipcore.policy.book import (
    Account,
    Carrier,
    Customer,
    DisplayNumber,
    Extension,
    Identity,
    Login,
    Peer,
    Registration,
    Trunk,
)
from sipcore.policy.book import Rows as BookRows
from sipcore.policy.peers import PeerAddress
from sipcore.rating.tariff import Tariff, Totals
from sipcore.store.merge import entries_of
from sipcore.store.rows import CarrierRow, ExtensionRow, LoginRow, Rows, Site, TrunkRow
from sipcore.store.tables import (
    count_void_credentials,
    read_credentials,
    read_extensions,
    read_small_rows,
)

_log = logger(__name__)


def book_rows(connection: sqlite3.Connection, site: Site, tariff: Tariff) -> BookRows:
    """Return what the snapshot of what is stored is made of. Extensions and identities are read
    as they are asked for, in the same transaction."""
    rows = read_small_rows(connection)
    if void := count_void_credentials(connection, site.realm):
        _log.error("passwords-void count=%d realm=%s: import them again", void, site.realm)
    carriers = {row.id: _carrier(row) for row in rows.carriers.values()}
    trunks = {row.id: _trunk(row) for row in rows.trunks.values()}
    peers: list[tuple[PeerAddress, Peer]] = [
        (entry, carriers[id_] if kind == "carrier" else trunks[id_])
        for kind, id_, entries in entries_of(rows)
        for _, entry in entries
    ]
    return BookRows(
        home=site.home,
        hotline=site.hotline,
        customers=[
            Customer(row.id, row.domain, row.name, row.verified, row.language)
            for row in rows.customers.values()
        ],
        accounts=_accounts(rows, tariff),
        extensions=map(_extension, read_extensions(connection)),
        numbers=[
            DisplayNumber(row.number, row.customer, row.account, _leads_to(row.to))
            for row in rows.numbers.values()
        ],
        trunks=list(trunks.values()),
        carriers=list(carriers.values()),
        identities=_identities(connection, site.realm, rows.trunks),
        peers=peers,
        destinations=tariff.destinations,
    )


def _extension(row: ExtensionRow) -> Extension:
    return Extension(
        row.customer,
        row.number,
        row.account,
        row.name,
        row.display_number,
        row.device,
        row.record,
        row.digest,
    )


def _trunk(row: TrunkRow) -> Trunk:
    return Trunk(
        row.id,
        row.customer,
        row.account,
        row.channels,
        row.uri,
        row.user,
        health_s=row.health_s,
        over_mtu=row.over_mtu,
        profile=row.profile,
        login=_login(row.login),
        tls_names=row.tls_names,
    )


def _login(row: LoginRow | None) -> Login | None:
    return None if row is None else Login(row.user, row.secret)


def _carrier(row: CarrierRow) -> Carrier:
    asked = row.register
    return Carrier(
        row.id,
        row.uri,
        row.channels,
        row.priority,
        row.weight,
        frozenset(row.allow),
        health_s=row.health_s,
        demote=row.demote,
        over_mtu=row.over_mtu,
        profile=row.profile,
        login=_login(row.login),
        tls_names=row.tls_names,
        registration=None
        if asked is None
        else Registration(asked.user, asked.secret, asked.domain, asked.expires_s, asked.auth_user),
    )


def _accounts(rows: Rows, tariff: Tariff) -> list[Account]:
    numbers: dict[str, list[str]] = {}
    for row in sorted(rows.numbers.values(), key=lambda one: one.position):
        numbers.setdefault(row.account, []).append(row.number)
    return [
        Account(
            row.id,
            row.customer,
            _totals(tariff, row.id, row.plans).concurrency,
            tuple(numbers.get(row.id, ())),
        )
        for row in rows.accounts.values()
    ]


def _totals(tariff: Tariff, account: str, plans: tuple[str, ...]) -> Totals:
    """Add up an account's plans. One that is no longer sold grants nothing, and says so."""
    known = [plan for plan in plans if plan in tariff.plans_by_id]
    if len(known) != len(plans):
        gone = sorted(set(plans) - set(known))
        _log.error("plan-not-in-tariff account=%s plans=%s", account, ",".join(gone))
    return tariff.totals(known)


def _leads_to(to: str) -> tuple[str, str]:
    kind, colon, id_ = to.partition(":")
    if colon:
        return kind, id_
    return ("hotline", "") if to == "hotline" else ("extension", to)


def _identities(
    connection: sqlite3.Connection, realm: str, trunks: dict[str, TrunkRow]
) -> Iterator[Identity]:
    """Yield who may sign in. A hash made for another realm is worth nothing."""
    for row, extension in read_credentials(connection, realm):
        account = trunks[row.id].account if extension is None else extension.account
        digest = () if extension is None else extension.digest
        hashes = bytes.fromhex(row.md5 + row.md5_domain + row.sha256 + row.sha256_domain)
        yield Identity(row.customer, row.kind, row.id, account, row.user, hashes, digest)
