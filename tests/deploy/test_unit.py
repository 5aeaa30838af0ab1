"""The systemd unit: valid, closed tight, in step with what the node does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sipcore import cli
from sipcore.config import Config
from sipcore.serve import DESCRIPTORS
from sipcore.supervise import DRAIN_SLACK_S, NOW_S, STOP_S
from tests.packages import require

UNIT = Path(__file__).parents[2] / "deploy" / "sipcore.service"
PROGRAM = "/opt/sipcore/.venv/bin/sipcore"
MOST_EXPOSURE = 15  # tenths of systemd's points, 0 to 100; "OK" ends at 49
WITHOUT_WRITABLE_CODE = """
import ctypes
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE, Linux 6.3; older kernels know it not
import sipcore.media.worker, sipcore.signalling, sipcore.web.server
"""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as it stands, but with the program where it is here."""
    here = str(Path(sys.executable).with_name("sipcore"))
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace(PROGRAM, here), "utf-8")
    return copy


def setting(name: str) -> str:
    """Return the one value of a setting."""
    [value] = re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return str(value)


def analyze(*words: str) -> str:
    """Run systemd-analyze, which needs no running systemd for this."""
    require("systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=30, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_systemd_finds_no_fault_with_it(unit: Path) -> None:
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_systemd_finds_hardly_a_way_out_of_it(unit: Path) -> None:
    limit = f"--threshold={MOST_EXPOSURE}"
    assert "OK" in analyze("security", "--offline=yes", "--no-pager", limit, str(unit))


@pytest.mark.parametrize("name", ["ExecStart", "ExecStartPre"])
def test_it_runs_a_command_line_of_ours(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = shlex.split(setting(name))
    assert program == PROGRAM
    elsewhere = [word.replace("/etc/sipcore", str(tmp_path)) for word in words]
    assert cli.main(elsewhere) == 2  # it gets as far as the file that is not there
    assert "No such file" in capsys.readouterr().err


def test_files_and_folders_are_where_systemd_makes_them() -> None:
    words = shlex.split(setting("ExecStart"))
    assert words[-4:] == [
        *("--config", f"/etc/{setting('ConfigurationDirectory')}/sipcore.toml"),
        *("--data", f"/var/lib/{setting('StateDirectory')}"),
    ]


def test_systemd_waits_until_calls_have_drained() -> None:
    longest_s = Config().limits.drain_s + DRAIN_SLACK_S + STOP_S + NOW_S
    assert float(setting("TimeoutStopSec")) > longest_s


def test_the_supervisor_alone_is_told_to_stop() -> None:
    assert setting("KillMode") == "mixed"


def test_it_may_open_as_many_files_as_the_node_wants() -> None:
    assert int(setting("LimitNOFILE")) == DESCRIPTORS


def test_the_libraries_live_without_memory_that_is_writable_and_code() -> None:
    assert setting("MemoryDenyWriteExecute") == "yes"
    subprocess.run([sys.executable, "-c", WITHOUT_WRITABLE_CODE], check=True, timeout=30)
