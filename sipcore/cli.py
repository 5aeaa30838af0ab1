"""The command line: what may be typed, its manual, the exit status. What is done: verbs.py."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from sipcore import __version__, verbs
from sipcore.control import ControlFault
from sipcore.errors import BadConfig, CannotStart, NoNode

SHOWN = ("calls", "bindings", "transactions", "trunks", "media", "subscriptions", "bans")
EXITS = """
exit status:
  0  done
  1  a fault was found
  2  cannot start, or misuse
  3  no node is running on the data folder
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do one verb and return the exit status. No traceback reaches a user for bad input."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `sipcore export … | head`: whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (BadConfig, ControlFault) as fault:
        return _complain(fault.faults, 1)
    except NoNode as fault:
        return _complain([str(fault)], 3)
    except (CannotStart, verbs.Misuse) as fault:
        return _complain([str(fault)], 2)
    except OSError as fault:
        return _complain([str(fault)], 2)


def _complain(faults: Sequence[str], status: int) -> int:
    for fault in faults:
        print(f"sipcore: {fault}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sipcore",
        description="A hosted-voice switch: calls, phones, carriers, records.",
        epilog="`sipcore VERB --help` is the manual of a verb." + EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in (_serve, _import, _check, _show, _mailbox, _unban, _export, _version):
        add(parsers)
    return parser


_Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _verb(
    parsers: _Parsers,
    name: str,
    summary: str,
    manual: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Add a verb. `manual`: what it does, a line "examples:", the examples."""
    description, _, examples = manual.strip().partition("\nexamples:\n")
    parser = parsers.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}\n{EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration; without it the embedded default",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="data folder, in place of node.data of the configuration",
    )
    parser.set_defaults(run=run)
    return parser


def _serve(parsers: _Parsers) -> None:
    manual = """
Run a node in front until SIGTERM or Ctrl-C. Then it takes no new calls, lets calls finish
for limits.drain_s seconds, ends the rest, writes their records and ends. A second signal
ends it at once. Log lines go to standard error.

A port or a data folder that another program has is named in one line (status 2). A process
of the node that dies is started again; one that dies 5 times in 10 s ends the node (status 1).

examples:
  sipcore serve
  sipcore serve --config /etc/sipcore/sipcore.toml --data /var/lib/sipcore
"""
    _verb(parsers, "serve", "run a node", manual, verbs.serve_node)


def _import(parsers: _Parsers) -> None:
    manual = """
Read customers, numbers, extensions, trunks and carriers from a provisioning file (TOML).
An import adds and changes, and deletes nothing; the same file twice changes nothing. A
mistake is reported with its line, and then nothing of the file is imported.

A running node takes the file itself and uses it for the next call. With no node running the
file goes straight into the data folder.

examples:
  sipcore import customers.toml
  sipcore import --data /var/lib/sipcore customers.toml
"""
    parser = _verb(parsers, "import", "take a provisioning file", manual, verbs.import_file)
    parser.add_argument("file", metavar="FILE", type=Path, help="the provisioning file")


def _check(parsers: _Parsers) -> None:
    manual = """
Judge a configuration or a provisioning file and change nothing. Which of the two it is
shows from its tables. Every fault is printed with its place; with none, the file is right.
A provisioning file is judged alone, not together with what is stored.

examples:
  sipcore check sipcore.toml
  sipcore check customers.toml
"""
    parser = _verb(parsers, "check", "judge a file, change nothing", manual, verbs.check_file)
    parser.add_argument("file", metavar="FILE", type=Path, help="what to judge")


def _show(parsers: _Parsers) -> None:
    manual = """
Show what is live in the running node:

  calls          every call: who, where to, state, since when
  bindings       registered contacts of extensions
  transactions   SIP transactions
  trunks         carriers and customers' trunks, with calls now
  media          RTP streams: addresses, mode, delay, loss, jitter, late
  subscriptions  busy lamps, message lights and other watchers, with state
  bans           sources that are not heard: why, how often, for how long yet

examples:
  sipcore show calls
  sipcore show media --json
"""
    parser = _verb(parsers, "show", "what is live in the node", manual, verbs.show_table)
    parser.add_argument("what", metavar="WHAT", choices=SHOWN, help=", ".join(SHOWN))
    parser.add_argument("--json", action="store_true", help="a JSON array, for programs")


def _mailbox(parsers: _Parsers) -> None:
    manual = """
Set how many new and old messages wait for an extension. The message-waiting lights of its
phones follow at once. Counts are kept in memory: after a restart nothing waits.

examples:
  sipcore mailbox acme 8001 2
  sipcore mailbox acme 8001 0 5
"""
    parser = _verb(parsers, "mailbox", "set what waits in a mailbox", manual, verbs.set_mailbox)
    parser.add_argument("customer", metavar="CUSTOMER", help="the customer's id")
    parser.add_argument("extension", metavar="EXTENSION", help="the extension's number")
    parser.add_argument("new", metavar="NEW", type=int, help="messages not heard yet")
    parser.add_argument("old", metavar="OLD", type=int, nargs="?", default=0, help="messages heard")


def _unban(parsers: _Parsers) -> None:
    manual = """
Let a source in again that `sipcore show bans` lists: an IPv4 address, or an IPv6 address or /64.
Its next ban is as short as a first one.

examples:
  sipcore unban 203.0.113.9
  sipcore unban 2001:db8:1:2::/64
"""
    parser = _verb(parsers, "unban", "let a banned source in again", manual, verbs.unban)
    parser.add_argument("address", metavar="ADDRESS", help="the source, as `show bans` has it")


def _export(parsers: _Parsers) -> None:
    manual = """
Write the records of calls to standard output, in the order in which the calls ended, each
once. The node may be running. Times are RFC 3339 in UTC; empty (in JSON null) means that a
call did not get so far. CSV is RFC 4180 in UTF-8 with a header.

--since takes RFC 3339 (2026-11-22T08:00:00Z) or a date, whose day begins at midnight in
Asia/Shanghai, as months and days of bills do. Records that ended then or later are written.

examples:
  sipcore export cdr --format csv > cdr.csv
  sipcore export cdr --format jsonl --since 2026-11-01 | jq .amount
"""
    parser = _verb(parsers, "export", "records of calls", manual, verbs.export_records)
    parser.add_argument("what", metavar="cdr", choices=("cdr",), help="call detail records")
    parser.add_argument("--format", choices=("csv", "jsonl"), required=True, help="how to write")
    parser.add_argument("--since", metavar="T", help="RFC 3339 time or date")


def _version(parsers: _Parsers) -> None:
    manual = """
Print the version of sipcore and of the Python that runs it.

examples:
  sipcore version
"""

    def run(_: argparse.Namespace) -> int:
        print(f"sipcore {__version__} (Python {sys.version.split()[0]})")
        return 0

    _verb(parsers, "version", "print the version", manual, run)


if __name__ == "__main__":
    sys.exit(main())
