"""Where extensions are registered, kept so that a restart forgets nobody. Written behind.

A REGISTER never waits for the disk: it leaves its change here, and a thread writes what has come
together at most every 200 ms. A disk that refuses is logged and asked again; nothing is dropped.
"""

import threading
from collections.abc import Callable
from sys import intern
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import astuple, fields

from sipcore.log import logger
from sipcore.message.flow import GONE
from sipcore.store.database import Database, StoreFault

_log = logger(__name__)

FLUSH_S = 0.2
RETRY_S = 1.0
_STORED, _TRANSPORT = 15, 4  # how many columns, and which it is
BindingKey = tuple[str, str, str, str]  # customer, extension, contact URI, instance


class Binding(Struct, frozen=True, gc=False):
    """A contact of an extension, or of a trunk that registers (`extension` is then its user).

    The flow (RFC 5626) is transport, local and remote address, and for a stream its connection,
    which is not stored: it ends with the process. `instance` is the device, then `#`
    and its reg-id where it registers by flows. `path` is the route to it (RFC 3327), as text.
    `expires_at`: seconds since 1970.
    """

    customer: str
    extension: str
    contact: str
    instance: str = ""
    transport: str = "udp"
    local_address: str = ""
    local_port: int = 0
    remote_address: str = ""
    remote_port: int = 0
    call_id: str = ""
    cseq: int = 0
    expires_at: float = 0.0
    q: float = 1.0
    user_agent: str = ""
    path: str = ""
    connection: int = 0

    @property
    def key(self) -> BindingKey:
        return self.customer, self.extension, self.contact, self.instance


_TEXT = "CAST(? AS TEXT)"
_VALUES = ", ".join(_TEXT if one.type is str else "?" for one in fields(Binding)[:_STORED])
_PUT = f"INSERT OR REPLACE INTO binding VALUES ({', '.join('?' * _STORED)})"
_PUT_ANY_BYTES = f"INSERT OR REPLACE INTO binding VALUES ({_VALUES})"

Changes = dict[BindingKey, Binding | None]  # None: gone


class Bindings(Protocol):
    """What a registrar needs of the store. `fault`: why the last write failed, if it did."""

    @property
    def fault(self) -> str | None: ...

    def put(self, binding: Binding) -> None: ...

    def remove(self, key: BindingKey) -> None: ...


def save_bindings(database: Database, changes: Changes) -> None:
    """Write changes in one transaction. Raises StoreFault."""
    put = [one for one in changes.values() if one is not None]
    usual = [astuple(one)[:_STORED] for one in put if _is_usual(one)]
    others = [_written(astuple(one)[:_STORED]) for one in put if not _is_usual(one)]
    with database.write() as connection:
        connection.executemany(
            f"DELETE FROM binding WHERE customer = {_TEXT} AND extension = {_TEXT}"
            f" AND contact = {_TEXT} AND instance = {_TEXT}",
            [_written(key) for key, binding in changes.items() if binding is None],
        )
        connection.executemany(_PUT, usual)
        connection.executemany(_PUT_ANY_BYTES, others)


def load_bindings(database: Database, now_wall_s: float) -> list[Binding]:
    """Read what has not expired, and delete what has. Raises StoreFault."""
    with database.write() as connection:
        connection.execute("DELETE FROM binding WHERE expires_at <= ?", (now_wall_s,))
        connection.text_factory = _read
        try:
            rows = connection.execute("SELECT * FROM binding")
            return [Binding(*(*row, 0 if row[_TRANSPORT] == "udp" else GONE)) for row in rows]
        finally:
            connection.text_factory = str


def _is_usual(one: Binding) -> bool:
    """Tell whether all that a phone wrote is ASCII, and can go as it is."""
    return f"{one.contact}{one.instance}{one.call_id}{one.user_agent}{one.path}".isascii()


def _written(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what SQLite is given: text from the wire may hold any bytes, and leaves as these."""
    return tuple(
        [
            one.encode("utf-8", "surrogateescape")
            if type(one) is str and not one.isascii()
            else one
            for one in columns
        ]
    )


def _read(text: bytes) -> str:
    """Read what _written() wrote. Most of it stands in many rows: it is kept once."""
    return intern(text.decode("utf-8", "surrogateescape"))


class InlineBindings:
    """Writes each change at once: for tests, where nothing may happen later."""

    fault: str | None = None

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, binding: Binding) -> None:
        save_bindings(self._database, {binding.key: binding})

    def remove(self, key: BindingKey) -> None:
        save_bindings(self._database, {key: None})


class BindingWriter:
    """The write-behind thread. put and remove never wait; close writes what is left.

    Of several changes to a binding the last one is written, so what waits is never more than
    there are bindings, however long the disk is full.
    """

    def __init__(
        self,
        database: Database,
        flush_s: float = FLUSH_S,
        retry_s: float = RETRY_S,
        save: Callable[[Database, Changes], None] = save_bindings,
    ) -> None:
        self._database = database
        self._flush_s = flush_s
        self._retry_s = retry_s
        self._save = save
        self._lock = threading.Lock()
        self._changes: Changes = {}
        self._work = threading.Event()
        self._closing = threading.Event()
        self.fault: str | None = None  # why the last write failed, for /ready and metrics
        self._thread = threading.Thread(target=self._run, name="bindings", daemon=True)
        self._thread.start()

    def put(self, binding: Binding) -> None:
        """Keep a binding, or its new state."""
        self._change(binding.key, binding)

    def remove(self, key: BindingKey) -> None:
        """Forget a binding."""
        self._change(key, None)

    def __len__(self) -> int:
        """Return how many changes wait."""
        return len(self._changes)

    def close(self) -> None:
        """Write what is left and end the thread. What the disk refuses then is lost, and logged."""
        self._closing.set()
        self._work.set()
        self._thread.join()

    def _change(self, key: BindingKey, binding: Binding | None) -> None:
        with self._lock:
            self._changes[key] = binding
        if not self._work.is_set():
            self._work.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._closing.wait(self._flush_s if self.fault is None else self._retry_s)
            self._work.clear()
            self._flush()
        if self._changes and not self._flush():
            _log.error("bindings-lost count=%d: phones will register again", len(self._changes))

    def _flush(self) -> bool:
        with self._lock:
            changes, self._changes = self._changes, {}
        if not changes:
            return True
        try:
            self._save(self._database, changes)
        except StoreFault as fault:
            with self._lock:
                self._changes = changes | self._changes  # what came meanwhile is newer
            self._work.set()
            if self.fault is None:
                _log.error("bindings-not-written count=%d: %s", len(changes), fault)
            self.fault = str(fault)
            return False
        if self.fault is not None:
            _log.warning("bindings-written-again count=%d", len(changes))
            self.fault = None
        return True
