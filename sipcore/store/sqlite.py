"""Store: DATA/sipcore.db behind a handful of verbs. It blocks: call it from a thread."""

from pathlib import Path

from sipcore.errors import CannotStart
from sipcore.policy.book import Book
from sipcore.rating.tariff import Tariff, embedded_catalogue
from sipcore.store.bindings import (
    FLUSH_S,
    Binding,
    BindingWriter,
    Changes,
    InlineBindings,
    load_bindings,
    save_bindings,
)
from sipcore.store.check import check_provisioning, read_provisioning
from sipcore.store.database import Database
from sipcore.store.handover import pack
from sipcore.store.importer import Importer, Report
from sipcore.store.rows import Site
from sipcore.store.secrets import Secrets
from sipcore.store.snapshot import book_rows
from sipcore.store.tables import read_rows

FILE = "sipcore.db"


class Store:
    """What an operator has provisioned, and who is registered. Threads may share it."""

    def __init__(self, database: Database, secrets: Secrets, site: Site, tariff: Tariff) -> None:
        self._database = database
        self._secrets = secrets
        self.site = site
        self.tariff = tariff

    @classmethod
    def open(cls, folder: Path, site: Site | None = None, tariff: Tariff | None = None) -> "Store":
        """Open or make the database of a data folder. Raises CannotStart with one line."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise CannotStart(f"{folder} cannot be made: {fault.strerror}") from None
        secrets = Secrets.open(folder)
        return cls(
            Database(folder / FILE),
            secrets,
            site or Site(),
            tariff or embedded_catalogue().versions[-1],
        )

    def close(self) -> None:
        self._database.close()

    def import_provisioning(self, text: str) -> Report:
        """Import a file: all of it, or nothing.

        Raises BadConfig with every fault and its line, and StoreFault where the disk refuses.
        """
        with self._database.write() as connection:
            stored = read_rows(connection)
            merged = read_provisioning(text, self.site, self.tariff, stored)
            return Importer(merged, stored, self.site, self._secrets).write(connection)

    def check(self, text: str) -> list[str]:
        """Return the faults of a file against what is stored, and change nothing."""
        with self._database.read() as connection:
            stored = read_rows(connection)
        return check_provisioning(text, self.site, self.tariff, stored)

    def load_book(self) -> Book:
        """Return a snapshot of what is provisioned. Raises StoreFault."""
        with self._database.read() as connection:
            return Book(book_rows(connection, self.site, self.tariff))

    def pack_book(self) -> bytes:
        """Return that snapshot for another process (handover.unpack). Raises StoreFault."""
        with self._database.read() as connection:
            return pack(book_rows(connection, self.site, self.tariff))

    def open_secret(self, secret: str, belongs_to: str) -> str | None:
        """Return what a carrier or trunk wants to be shown; None: sealed by another node's key."""
        return self._secrets.open_sealed(secret, belongs_to)

    def save_bindings(self, changes: Changes) -> None:
        """Write changed bindings in one transaction. Raises StoreFault."""
        save_bindings(self._database, changes)

    def load_bindings(self, now_wall_s: float) -> list[Binding]:
        """Return the bindings that have not expired. Raises StoreFault."""
        return load_bindings(self._database, now_wall_s)

    def binding_writer(self, flush_s: float = FLUSH_S) -> BindingWriter:
        """Start the thread that writes bindings behind. Close it before the store."""
        return BindingWriter(self._database, flush_s)

    def inline_bindings(self) -> InlineBindings:
        """Return the variant that writes at once, for tests."""
        return InlineBindings(self._database)
