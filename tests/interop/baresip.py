"""baresip as a phone with ears: it plays a WAV file, and writes down what it hears as another.

Driven through its TCP interface: netstrings of JSON. No sound card is needed.
"""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.interop.ports import HOST, Ports
from tests.interop.town import Account
from tests.interop.waiting import until
from tests.packages import require

CONFIG = """
poll_method epoll
net_interface {host}
sip_listen {host}:{sip}
rtp_ports {rtp}-{last_rtp}
audio_source aufile,{tone}
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{control}
snd_path {folder}
"""
PHONE_HOST = "127.0.0.1"  # it lets the kernel choose the source of its sound, which is this one
RTP_PORTS = 8
PORTS = RTP_PORTS + 3  # SIP, SIP over TLS on the next one, and the interface
CODEC = "PCMA/8000/1"


class Baresip:
    """One phone. It answers by itself."""

    def __init__(self, folder: Path, ports: Ports, account: Account, node: int, tone: Path) -> None:
        require("baresip")
        self.name = account.user
        self.events: list[dict[str, Any]] = []
        self._folder = folder
        folder.mkdir()
        control, rtp = ports.take(), ports.take(RTP_PORTS)
        (folder / "config").write_text(
            CONFIG.format(
                host=PHONE_HOST,
                modules=modules(),
                sip=ports.take(2),  # SIP over TLS takes the next one
                rtp=rtp,
                last_rtp=rtp + RTP_PORTS - 1,
                control=control,
                tone=tone,
                folder=folder,
            )
        )
        (folder / "accounts").write_text(
            f"<sip:{account.user}@{account.domain}>;auth_user={account.user}"
            f';auth_pass={account.password};outbound="sip:{HOST}:{node}"'
            f";regint=600;answermode=auto;audio_codecs={CODEC}\n"
        )
        (folder / "contacts").touch()
        with (folder / "screen.log").open("wb") as screen:
            self._process = subprocess.Popen(
                ["baresip", "-f", str(folder), "-s"],
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=screen,
            )
        self._control_port = control
        self._control: socket.socket | None = None
        self._unread = b""

    def start(self) -> None:
        """Wait until it can be told something."""
        self._control = until(f"baresip {self.name} listens", lambda: connected(self._control_port))

    def tell(self, command: str, words: str = "") -> None:
        """Give a command of baresip's menu."""
        text = json.dumps({"command": command, "params": words, "token": command}).encode()
        assert self._control is not None
        self._control.sendall(b"%d:%s," % (len(text), text))
        answer = until(f"baresip answers {command}", lambda: self._answer(command), 5)
        assert answer is not None
        assert answer["ok"], answer

    def wait_for(self, event: str, within_s: float = 10.0) -> None:
        """Wait for an event of baresip's, REGISTER_OK say; each is waited for once."""
        until(f"{event} at {self.name}", lambda: self._take(event), within_s)

    def heard(self) -> Path:
        """Return the file with what it has heard in its last call. The call is over."""
        [file] = sorted(self._folder.glob("dump-*-dec.wav"))[-1:]
        return file

    def end(self) -> None:
        """End it, whatever it does, and show what it said."""
        if self._control is not None:
            self._control.close()
        self._process.kill()
        self._process.wait()
        print(f"=== baresip {self.name}\n{(self._folder / 'screen.log').read_text('utf-8')}")

    def _take(self, event: str) -> bool:
        self._read()
        for at, one in enumerate(self.events):
            if one.get("type") == event:
                del self.events[: at + 1]
                return True
        return False

    def _answer(self, command: str) -> dict[str, Any] | None:
        self._read()
        for at, one in enumerate(self.events):
            if one.get("response") and one.get("token") == command:
                return self.events.pop(at)
        return None

    def _read(self) -> None:
        """Take in what has come."""
        assert self._control is not None
        try:
            while piece := self._control.recv(65536):
                self._unread += piece
        except BlockingIOError:
            pass
        while True:
            size, colon, rest = self._unread.partition(b":")
            if not colon or len(rest) <= int(size):
                return
            self.events.append(json.loads(rest[: int(size)]))
            self._unread = rest[int(size) + 1 :]


def modules() -> Path:
    """Return where the modules are: beside the program, as Debian installs it."""
    program = shutil.which("baresip")
    assert program is not None
    return Path(program).resolve().parents[1] / "lib" / "baresip" / "modules"


def connected(port: int) -> socket.socket | None:
    try:
        opened = socket.create_connection((PHONE_HOST, port), 2)
    except OSError:
        return None
    opened.setblocking(False)
    return opened
