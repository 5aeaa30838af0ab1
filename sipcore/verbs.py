"""What the verbs of the command line do, each a few lines over the packages that know how."""

import argparse
import os
import sys
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec

from sipcore import log, table
from sipcore.cdr.export import WRITERS, read_cdrs
from sipcore.config import Config, parse_config, read_config
from sipcore.control import ControlFault, Table, ask
from sipcore.errors import BadConfig, CannotStart, NoNode, SipcoreError
from sipcore.serve import serve, take_lock
from sipcore.site import site_of as site_of
from sipcore.store.check import check_provisioning
from sipcore.store.importer import Report
from sipcore.store.sqlite import Store

CONFIGURATION = frozenset(Config.__struct_fields__)
PROVISIONING = frozenset(("carrier", "customer"))
IMPORT_S = 300.0
SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991


class Misuse(SipcoreError):
    """What was typed cannot be done; one line says why."""


def serve_node(arguments: argparse.Namespace) -> int:
    """Run a node. A wrong configuration keeps it from starting."""
    try:
        config = read_config(arguments.config)
    except BadConfig as bad:
        raise CannotStart(_in_file(arguments.config, bad.faults)) from None
    log.start()
    return serve(config, _data(arguments, config))


def import_file(arguments: argparse.Namespace) -> int:
    """Through the running node; with none, straight into the store, under the node's lock."""
    config = _config(arguments)
    data = _data(arguments, config)
    text = _read(arguments.file)
    try:
        report = _import(text, config, data)
    except (BadConfig, ControlFault) as bad:
        raise BadConfig([f"{arguments.file}: {fault}" for fault in bad.faults]) from None
    print(f"{arguments.file}: {report}")
    return 0


def _import(text: str, config: Config, data: Path) -> Report:
    try:
        return ask(data, "import", text, Report, IMPORT_S)
    except NoNode:
        pass
    try:
        lock_fd = take_lock(data)
    except CannotStart:  # a node that was just starting: it answers by now
        return ask(data, "import", text, Report, IMPORT_S)
    try:
        return _import_here(text, config, data)
    finally:
        os.close(lock_fd)


def _import_here(text: str, config: Config, data: Path) -> Report:
    store = Store.open(data, site_of(config))
    try:
        return store.import_provisioning(text)
    finally:
        store.close()


def check_file(arguments: argparse.Namespace) -> int:
    """Print every fault of a file, or that it is right."""
    file: Path = arguments.file
    text = _read(file)
    kind, faults = _judge(text, arguments)
    for fault in faults:
        print(f"{file}: {fault}")
    if not faults:
        print(f"{file}: a right {kind} file")
    return 1 if faults else 0


def _judge(text: str, arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Which of the two a file is, its top-level tables tell; one that is no TOML is neither."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        return "TOML", [str(fault)]
    tables = frozenset(document)
    if tables & PROVISIONING and tables & CONFIGURATION:
        both = ", ".join(sorted(tables & (PROVISIONING | CONFIGURATION)))
        return "TOML", [f"tables of a configuration and of a provisioning file: {both}"]
    if tables & PROVISIONING:
        return "provisioning", check_provisioning(text, site_of(_config(arguments)))
    if faults := list(_wrong_values(document)):
        return "configuration", faults
    try:
        parse_config(text)  # what no single value shows
    except BadConfig as bad:
        return "configuration", bad.faults
    return "configuration", []


def _wrong_values(document: dict[str, Any]) -> Iterator[str]:
    """Yield every fault of a configuration: msgspec stops at the first, so key by key."""
    for fragment, name, place in _fragments(document):
        try:
            msgspec.convert(fragment, Config)
        except msgspec.ValidationError as fault:
            yield str(fault).replace(f"$.{name}[0]", f"$.{name}[{place}]")


def _fragments(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, int]]:
    """Yield documents of one key each, with the table and the place in it that they are from."""
    for name, value in document.items():
        tables = value if isinstance(value, list) else [value]
        for place, content in enumerate(tables):
            pairs = content.items() if isinstance(content, dict) else ()
            for part in [{key: one} for key, one in pairs] or [content]:
                yield {name: [part] if isinstance(value, list) else part}, name, place


def show_table(arguments: argparse.Namespace) -> int:
    """Ask the node for one of its tables and print it."""
    data = _data(arguments, _config(arguments))
    answer = ask(data, "show", arguments.what, Table)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(table.to_objects(answer)).decode() + "\n")
    else:
        sys.stdout.write(table.to_text(answer) or f"no {arguments.what}\n")
    return 0


def unban(arguments: argparse.Namespace) -> int:
    """Let a source in again. Status 1 where it was not banned."""
    data = _data(arguments, _config(arguments))
    if not ask(data, "unban", arguments.address, bool):
        raise ControlFault([f"{arguments.address} is not banned"])
    return 0


def set_mailbox(arguments: argparse.Namespace) -> int:
    """Set how many messages wait for an extension; its phones' lights follow."""
    data = _data(arguments, _config(arguments))
    words = (arguments.customer, arguments.extension, arguments.new, arguments.old)
    ask(data, "mailbox", " ".join(map(str, words)), bool)
    return 0


def export_records(arguments: argparse.Namespace) -> int:
    """Write records to standard output, bytes as the format wants them wherever we run."""
    since = None if arguments.since is None else parse_since(arguments.since)
    data = _data(arguments, _config(arguments))
    if not data.is_dir():
        raise Misuse(f"there is no data folder {data}")
    with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as out:
        WRITERS[arguments.format](read_cdrs(data / "journal", since), out)
    return 0


def parse_since(text: str) -> float:
    """Return UTC seconds of an RFC 3339 time, or of a date's midnight in Shanghai."""
    try:
        at = datetime.fromisoformat(text)
        if len(text) > 10 and at.tzinfo is None:
            raise Misuse(f"--since {text}: RFC 3339 wants a zone, as in {text}Z")
        return (at if at.tzinfo else at.replace(tzinfo=SHANGHAI)).timestamp()
    except (ValueError, OverflowError):
        raise Misuse(f"--since {text}: neither an RFC 3339 time nor a date") from None


def _config(arguments: argparse.Namespace) -> Config:
    try:
        return read_config(arguments.config)
    except BadConfig as bad:
        raise Misuse(_in_file(arguments.config, bad.faults)) from None


def _data(arguments: argparse.Namespace, config: Config) -> Path:
    data: Path | None = arguments.data
    return (data or Path(config.node.data)).absolute()


def _in_file(file: Path | None, faults: list[str]) -> str:
    return "\n".join(f"{file}: {fault}" for fault in faults)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as fault:
        raise Misuse(f"{file}: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        raise BadConfig([f"{file}: not UTF-8, at byte {fault.start}"]) from None
