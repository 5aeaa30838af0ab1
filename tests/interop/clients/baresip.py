"""baresip as a phone with ears: it plays a WAV file, and writes down what it hears as another.

Driven through its TCP interface: netstrings of JSON. No sound card is needed.
"""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

from tests.interop.clients.base import MESSAGE_SUMMARY, PRESENCE, RTP_PORTS, Line, Screen, uri
from tests.interop.processes import begin, stop
from tests.interop.tones import write_tone
from tests.interop.town import WORKSHOP
from tests.interop.waiting import until
from tests.packages import require

# mwi comes first: 1 ms after it is loaded version 1.0.0 subscribes for ever if it is registered.
CONFIG = """
poll_method epoll
net_interface {host}
sip_listen {listen}:{sip}
{trust}
rtp_ports {rtp}-{last_rtp}
audio_source aufile,{tone}
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
module_path {modules}
module mwi.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app contact.so
module_app presence.so
module_app ctrl_tcp.so
ctrl_tcp_listen {listen}:{control}
snd_path {folder}
"""
CODEC = "PCMA/8000/1"
TONE_HZ, TONE_S = 600.0, 30
CONTACT = WORKSHOP.user  # whom it writes to, and whose presence it watches


class Baresip:
    """One phone. It answers by itself."""

    def __init__(self, folder: Path, line: Line, tone: Path | None = None) -> None:
        require("baresip")
        account = line.account
        self.name = account.user
        self.events: list[dict[str, Any]] = []
        self._folder = folder
        self._heard = Screen(folder)
        self._line = line
        folder.mkdir()
        (folder / "config").write_text(
            CONFIG.format(
                host=line.host,
                listen=f"[{line.host}]" if ":" in line.host else line.host,
                modules=modules(),
                sip=line.sip,
                rtp=line.rtp,
                last_rtp=line.rtp + RTP_PORTS - 1,
                control=line.control,
                tone=tone or write_tone(folder / "tone.wav", TONE_HZ, TONE_S),
                folder=folder,
                trust=f"sip_cafile {line.ca}" if line.ca else "",
            )
        )
        (folder / "accounts").write_text(
            f"<sip:{account.user}@{account.domain}>;auth_user={account.user}"
            f';auth_pass={account.password};outbound="sip:{line.node};transport={line.transport}"'
            f";regint=600;mwi=yes;answermode=auto;audio_codecs={CODEC}\n"
        )
        (folder / "contacts").write_text(f'"Contact" <{uri(CONTACT, line)}>;presence=p2p\n')
        argv = ["baresip", "-f", str(folder), "-s", *(["-6"] if ":" in line.host else [])]
        self._process = begin(argv, folder / "screen.log")
        self._control: socket.socket | None = None
        self._unread = b""

    def start(self) -> None:
        """Wait until it can be told something."""
        self._control = until(f"baresip {self.name} listens", self._connected)

    def call(self, number: str) -> None:
        self.tell("dial", uri(number, self._line))

    def hang_up(self) -> None:
        self.tell("hangup")

    def hold(self) -> None:
        self.tell("hold")

    def resume(self) -> None:
        self.tell("resume")

    def press(self, digit: str, by: str) -> None:
        assert by == "rtp"
        self.tell("sndcode", digit)

    def transfer(self, number: str) -> None:
        self.tell("transfer", uri(number, self._line))

    def transfer_to_consulted(self) -> None:
        raise NotImplementedError

    def watch(self, event: str, number: str) -> None:
        """It has subscribed from the start."""
        assert (event, number) in ((MESSAGE_SUMMARY, self.name), (PRESENCE, CONTACT))

    def sees(self, *, is_there: bool) -> bool:
        """Its list of contacts says that."""
        return ("Online" if is_there else "Offline") in self.tell("contacts")

    def write(self, number: str, text: str) -> None:
        """Send a MESSAGE: to its one contact."""
        assert number == CONTACT
        self.tell("message", text)

    def ask(self, number: str) -> None:
        self.tell("options", uri(number, self._line))
        until("baresip is answered", lambda: self.is_told("OPTIONS of"))

    def is_told(self, words: str) -> bool:
        self._read()
        events = (one.get("param", "") for one in self.events)
        return words in self._heard.text() or any(words in one for one in events)

    def forget(self) -> None:
        self._read()
        self.events.clear()
        self._heard.forget()

    def tell(self, command: str, words: str = "") -> str:
        """Give a command of baresip's menu; return what it says to that."""
        text = json.dumps({"command": command, "params": words, "token": command}).encode()
        assert self._control is not None
        self._control.sendall(b"%d:%s," % (len(text), text))
        answer = until(f"baresip answers {command}", lambda: self._answer(command), 5)
        assert answer is not None
        assert answer["ok"], answer
        return str(answer.get("data", ""))

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
        stop(self._process)
        print(f"=== baresip {self.name}\n{(self._folder / 'screen.log').read_text('utf-8')}")

    def _connected(self) -> socket.socket | None:
        try:
            opened = socket.create_connection((self._line.host, self._line.control), 2)
        except OSError:
            return None
        opened.setblocking(False)
        return opened

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
