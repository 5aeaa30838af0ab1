"""From stored rows to the Book that calls are decided on: plans become totals."""

from sipcore.log import logger
from sipcore.policy.book import (
    Account,
    Carrier,
    Customer,
    DisplayNumber,
    Extension,
    Ha1s,
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
from sipcore.store.rows import CarrierRow, CredentialRow, LoginRow, Rows, Site, TrunkRow

_log = logger(__name__)


def book_rows(rows: Rows, site: Site, tariff: Tariff) -> BookRows:
    """Return what the snapshot of what is stored is made of."""
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
        extensions=[
            Extension(
                row.customer,
                row.number,
                row.account,
                row.name,
                row.display_number,
                row.device,
                row.record,
                row.digest,
            )
            for row in rows.extensions.values()
        ],
        numbers=[
            DisplayNumber(row.number, row.customer, row.account, _leads_to(row.to))
            for row in rows.numbers.values()
        ],
        trunks=list(trunks.values()),
        carriers=list(carriers.values()),
        identities=_identities(rows, site.realm),
        peers=peers,
        destinations=tariff.destinations,
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


def _identities(rows: Rows, realm: str) -> list[Identity]:
    """Return who may sign in. A hash made for another realm is worth nothing."""
    found = [_identity(rows, row) for row in rows.credentials.values() if row.realm == realm]
    if void := len(rows.credentials) - len(found):
        _log.error("passwords-void count=%d realm=%s: import them again", void, realm)
    return found


def _identity(rows: Rows, row: CredentialRow) -> Identity:
    hashes = Ha1s(row.md5, row.md5_domain, row.sha256, row.sha256_domain)
    if row.kind == "extension":
        extension = rows.extensions[row.customer, row.id]
        account, digest = extension.account, extension.digest
    else:
        account, digest = rows.trunks[row.id].account, ()
    return Identity(row.customer, row.kind, row.id, account, row.user, hashes, digest)
