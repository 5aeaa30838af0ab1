"""The command line: exit states, plain words, no traceback; through a node and without one."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipcore import cli, table
from sipcore.cdr.entry import Ended, to_line
from sipcore.control import ControlServer, Table
from sipcore.errors import BadConfig
from sipcore.store.importer import Counts, Report
from sipcore.verbs import parse_since
from tests.cdr.samples import NOON, answered_call

PROVISIONING = """
[[carrier]]
id = "carrier-a"
uri = "sip:127.0.0.10:25080"
priority = 1
weight = 10
channels = 5
accept_from = ["127.0.0.10/32"]
allow = ["national"]
"""
CALLS = Table(
    ["caller", "state", "talked_s", "on_hold"],
    [["前台", "answered", 61.25, False], ["x\x1b[2J", None, 3.0, True]],
)


class Node(threading.Thread):
    """A node's control socket, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.imported: list[str] = []
        self.mailboxes: list[str] = []
        self.is_up = threading.Event()
        self.loop = asyncio.new_event_loop()

    async def show(self, what: str) -> Table:
        return CALLS if what == "calls" else Table(["id"], [])

    async def take(self, text: str) -> Report:
        if "wrong" in text:
            raise BadConfig(["line 3: wrong"])
        self.imported.append(text)
        return Report({"carrier": Counts(added=1)})

    async def mailbox(self, text: str) -> bool:
        self.mailboxes.append(text)
        return True

    async def unban(self, address: str) -> bool:
        return address == "203.0.113.9"

    def run(self) -> None:
        verbs = {"show": self.show, "import": self.take, "unban": self.unban}
        server = ControlServer(self.folder, {**verbs, "mailbox": self.mailbox})
        self.loop.run_until_complete(server.start())
        self.is_up.set()
        self.loop.run_forever()
        self.loop.run_until_complete(server.close())
        self.loop.close()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    node.start()
    node.is_up.wait(10)
    yield node
    node.stop()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sipcore.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "verb", ["serve", "import", "check", "show", "mailbox", "unban", "export", "version"]
)
def test_every_verb_has_a_manual(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    manual = capsys.readouterr().out
    for part in ("examples:", f"sipcore {verb}", "exit status:", "--config FILE", "--data DIR"):
        assert part in manual


@pytest.mark.parametrize("typed", [[], ["dance"], ["show", "cats"], ["export", "cdr"]])
def test_misuse_is_2(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(typed)
    assert ended.value.code == 2
    assert "usage: sipcore" in capsys.readouterr().err


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("sipcore 0.")


def test_without_a_node_show_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "calls", "--data", str(tmp_path)]) == 3
    assert f"sipcore: no node runs on {tmp_path}" in capsys.readouterr().err


@pytest.mark.usefixtures("node")
def test_show_aligns_wide_characters_and_disarms_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", "calls", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "CALLER  STATE     TALKED_S  ON_HOLD",
        "前台    answered      61.2  no",
        "x?[2J   -              3.0  yes",
    ]


@pytest.mark.usefixtures("node")
def test_an_empty_table_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "media", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no media\n"
    assert cli.main(["show", "media", "--json", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.usefixtures("node")
def test_show_json_is_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "calls", "--json", "--data", str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {"caller": "前台", "state": "answered", "talked_s": 61.25, "on_hold": False}


@pytest.mark.usefixtures("node")
def test_unban_says_where_nobody_was_banned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["unban", "203.0.113.9", "--data", str(tmp_path)]) == 0
    assert cli.main(["unban", "203.0.113.8", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "sipcore: 203.0.113.8 is not banned\n"


def test_a_mailbox_is_set_in_the_running_node(tmp_path: Path, node: Node) -> None:
    assert cli.main(["mailbox", "acme", "8001", "2", "--data", str(tmp_path)]) == 0
    assert cli.main(["mailbox", "acme", "8001", "0", "5", "--data", str(tmp_path)]) == 0
    assert node.mailboxes == ["acme 8001 2 0", "acme 8001 0 5"]


def test_a_running_node_takes_the_import(
    tmp_path: Path, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.toml"
    file.write_text(PROVISIONING)
    assert cli.main(["import", "--data", str(tmp_path), str(file)]) == 0
    assert node.imported == [PROVISIONING]
    assert "1 added, 0 changed, 0 unchanged" in capsys.readouterr().out
    file.write_text("wrong")
    assert cli.main(["import", "--data", str(tmp_path), str(file)]) == 1
    assert f"sipcore: {file}: line 3: wrong" in capsys.readouterr().err


def test_without_a_node_an_import_goes_into_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, data = tmp_path / "in.toml", tmp_path / "data"
    file.write_text(PROVISIONING)
    assert cli.main(["import", "--data", str(data), str(file)]) == 0
    assert "1 added" in capsys.readouterr().out
    assert cli.main(["import", "--data", str(data), str(file)]) == 0
    assert "0 added, 0 changed, 1 unchanged" in capsys.readouterr().out
    file.write_text(PROVISIONING.replace("channels", "chanels"))
    assert cli.main(["import", "--data", str(data), str(file)]) == 1
    assert "line " in capsys.readouterr().err


def test_a_data_folder_with_a_broken_database_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sipcore.db").write_bytes(b"no database" * 1000)
    file = tmp_path / "in.toml"
    file.write_text(PROVISIONING)
    assert cli.main(["import", "--data", str(tmp_path), str(file)]) == 2
    assert "sipcore.db" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (PROVISIONING, 0, "a right provisioning file"),
        (PROVISIONING.replace("weight", "wait"), 1, "line "),
        ("[web]\nport = 8081\n", 0, "a right configuration file"),
        ("", 0, "a right configuration file"),
        ("[web]\nport = 0\n", 1, "$.web.port"),
        ("[web]\nport = \n", 1, "line 2"),
        ("[wab]\nport = 1\n", 1, "wab"),
        (PROVISIONING + "[web]\nport = 8081\n", 1, "carrier, web"),
    ],
)
def test_check_tells_the_two_kinds_apart_and_names_the_place(
    tmp_path: Path, text: str, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.toml"
    file.write_text(text)
    assert cli.main(["check", str(file)]) == status
    assert words in capsys.readouterr().out


def test_check_prints_every_fault_of_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.toml"
    file.write_text(
        "[web]\nport = 0\nadress = 'x'\n[[listen]]\nport = 5060\n[[listen]]\nport = 'x'\n[wab]\n"
    )
    assert cli.main(["check", str(file)]) == 1
    places = [line.rpartition(" - ")[2] for line in capsys.readouterr().out.splitlines()]
    assert places[0] == "at `$.web.port`"
    assert places[2] == "at `$.listen[1].port`"
    assert len(places) == 4


def test_a_file_that_cannot_be_read_is_misuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(tmp_path / "none.toml")]) == 2
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    assert cli.main(["check", str(tmp_path / "latin.toml")]) == 1
    assert cli.main(["show", "calls", "--config", str(tmp_path / "none.toml")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def journal(data: Path, count: int = 3) -> None:
    (data / "journal").mkdir()
    lines = (to_line(Ended(answered_call(n, NOON + n))) for n in range(count))
    (data / "journal" / "journal-000001.jsonl").write_bytes(b"".join(lines))


def test_export_writes_csv_and_json_lines(tmp_path: Path) -> None:
    journal(tmp_path)
    csv = run("export", "cdr", "--format", "csv", "--data", str(tmp_path))
    assert csv.returncode == 0
    assert csv.stdout.startswith("id,call_id,parent_id,node,")
    assert len(csv.stdout.splitlines()) == 4
    since = "2026-11-22T20:00:02+08:00"
    rows = run("export", "cdr", "--format", "jsonl", "--since", since, "--data", str(tmp_path))
    assert [json.loads(row)["id"][-1] for row in rows.stdout.splitlines()] == ["2"]


def test_export_into_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    journal(tmp_path, 5000)
    argv = [sys.executable, "-m", "sipcore.cli", "export", "cdr", "--format", "csv"]
    export = subprocess.Popen(
        [*argv, "--data", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert export.stdout is not None
    assert export.stderr is not None
    export.stdout.readline()
    export.stdout.close()
    assert export.stderr.read() == b""
    export.stderr.close()
    assert export.wait(10) == 0


def test_export_without_a_data_folder_is_misuse(tmp_path: Path) -> None:
    done = run("export", "cdr", "--format", "csv", "--data", str(tmp_path / "none"))
    assert (done.returncode, done.stderr) == (
        2,
        f"sipcore: there is no data folder {tmp_path / 'none'}\n",
    )


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "2026-11-22T08:00:00"])
def test_a_wrong_time_is_misuse(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "cdr", "--format", "csv", "--since", since]) == 2
    assert f"--since {since}: " in capsys.readouterr().err


def test_a_date_begins_at_midnight_in_shanghai() -> None:
    assert parse_since("2026-11-22") == parse_since("2026-11-21T16:00:00Z")


def test_a_node_with_a_wrong_configuration_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[limits]\ncalls = 0\n")
    assert cli.main(["serve", "--config", str(file)]) == 2
    assert "$.limits.calls" in capsys.readouterr().err


def test_widths_are_those_of_a_terminal() -> None:
    assert [table.width(text) for text in ("abc", "前台", "é", "👍")] == [3, 4, 1, 2]
