"""Kamailio beside a node: as an edge proxy in front of it, and as a carrier behind it."""

import os
import signal
import subprocess
from pathlib import Path

from tests.interop.doors import Doors
from tests.interop.ports import HOST, Ports, is_taken
from tests.interop.processes import begin, stop
from tests.interop.waiting import until
from tests.packages import KAMAILIO_MODULES, require
from tests.transport.certificates import Pair

CONFIGS = Path(__file__).with_name("kamailio")
NAME = "kamailio.example"  # its certificate is for this, too
TLS = """[server:default]
method = {method}
certificate = {0}
private_key = {1}
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
ca_list = {2}
certificate = {0}
private_key = {1}
"""
METHOD = {"edge": "TLSv1.2"}  # sipsak takes a ticket of TLS 1.3 for the end of the connection


class Kamailio:
    """One Kamailio, a session of processes of its own, on this process's address."""

    def __init__(
        self, folder: Path, ports: Ports, doors: Doors, config: str, pair: Pair | None = None
    ) -> None:
        """`config`: the file of kamailio/ that says what it is. `pair`: its certificate and key,
        where they are not for HOST and NAME."""
        self._program = require("kamailio")
        for file in KAMAILIO_MODULES.values():
            require(file)
        self.port, self.tls = ports.take(), ports.take()
        self._folder = folder
        self._config = config
        folder.mkdir()
        pair = pair or doors.authority.issue(HOST, NAME, file=f"kamailio-{config}")
        self._tls_file = folder / "tls.cfg"
        self._tls_file.write_text(
            TLS.format(*pair, doors.authority.file, method=METHOD.get(config, "TLSv1.2+"))
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **words: str | int) -> None:
        """Start it and wait until it listens. `words` are put into its configuration."""
        words |= {
            "MY_HOST": HOST,
            "MY_PORT": self.port,
            "MY_TLS_PORT": self.tls,
            "MY_TLS_FILE": str(self._tls_file),
        }
        file = self._folder / "kamailio.cfg"
        file.write_text("#!KAMAILIO\n" + "".join(self._lines(words)), "utf-8")
        argv = [self._program, "-DD", "-E", "-f", str(file), "-m", "32", "-M", "4"]
        argv += ["-Y", str(self._folder), "-w", str(self._folder)]
        self._process = begin(argv, self._folder / "screen.log")
        until("Kamailio listens", self._is_listening)

    def _lines(self, words: dict[str, str | int]) -> list[str]:
        # the longest first: a word may begin as another one does
        given = sorted(words.items(), key=lambda one: -len(one[0]))
        substitutes = [f'#!substdef "^{name}^{value}^g"\n' for name, value in given]
        included = [f'include_file "{CONFIGS / name}.cfg"\n' for name in ("common", self._config)]
        return substitutes + included

    def _is_listening(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Kamailio does not start:\n{self.log}"
        return is_taken(self.port)

    @property
    def log(self) -> str:
        """What it has said so far."""
        file = self._folder / "screen.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def fall_silent(self) -> None:
        """Answer nothing any more: its processes stand still."""
        self._signal(signal.SIGSTOP)

    def speak_again(self) -> None:
        """Go on; what has come meanwhile is answered late."""
        self._signal(signal.SIGCONT)

    def _signal(self, signum: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signum)

    def end(self) -> None:
        """End it and every process of its session, and show what it said."""
        if self._process is None:
            return
        self.speak_again()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        finally:
            stop(self._process)
            print(f"=== Kamailio {self._config}\n{self.log}")
