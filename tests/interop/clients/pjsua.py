"""pjsua2 as a phone, and as the other side of other phones: it tells what it hears and sees."""

import json
from pathlib import Path
from typing import Any

from tests.interop.clients.base import RTP_PORTS, Line, ended, started, tell, uri
from tests.interop.waiting import until

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
PROGRAM = Path(__file__).with_name("pjsua_phone.py")


class Pjsua:
    """One phone, a process of its own."""

    def __init__(self, folder: Path, line: Line) -> None:
        assert PYTHON.exists(), ".venv-clients is missing: make clients"
        self._folder = folder
        self._line = line
        self._read_to = 0
        self._seen: list[dict[str, Any]] = []
        folder.mkdir()
        told = {
            "user": line.account.user,
            "domain": line.account.domain,
            "password": line.account.password,
            "proxy": f"sip:{line.node};transport={line.transport};lr",
            "transport": line.transport,
            "host": line.host,
            "port": line.sip,
            "rtp": line.rtp,
            "rtp_count": RTP_PORTS,
            "ca": line.ca,
            "log": str(folder / "pjsua.log"),
        }
        self._process = started([str(PYTHON), str(PROGRAM), json.dumps(told)], folder)

    def start(self) -> None:
        """Wait until it is registered."""
        self.expect("registration", status=200)

    def call(self, number: str) -> None:
        self._tell("call", uri(number, self._line))

    def hang_up(self) -> None:
        self._tell("hang up")

    def hold(self) -> None:
        self._tell("hold")

    def resume(self) -> None:
        self.expect("media", status="held here")
        self._tell("resume")

    def press(self, digit: str, by: str) -> None:
        self._tell("dtmf", digit, by)

    def transfer(self, number: str) -> None:
        self._tell("transfer", uri(number, self._line))

    def transfer_to_consulted(self) -> None:
        for _ in ("the first call", "the second one"):
            self.expect("confirmed")
        self._tell("transfer to consulted")

    def watch(self, event: str, number: str) -> None:
        self._tell("watch", event, uri(number, self._line))

    def sees(self, *, is_there: bool) -> bool:
        self._read()
        told = [one["is_there"] for one in self._seen if one["event"] == "presence"]
        return told[-1:] == [is_there]

    def leave(self) -> None:
        """End its registration."""
        self._tell("leave")
        self.expect("registration", status=200)

    def join(self) -> None:
        """Register again."""
        self._tell("join")
        self.expect("registration", status=200)

    def write(self, number: str, text: str) -> None:
        self._tell("write", uri(number, self._line), text)

    def ask(self, number: str) -> None:
        self._tell("ask", uri(number, self._line))
        self.expect("answered", method="OPTIONS", status=200)

    def is_told(self, words: str) -> bool:
        self._read()
        return any(words in one.get("text", "") for one in self._seen)

    def expect(self, event: str, within_s: float = 10.0, **what: Any) -> dict[str, Any]:
        """Wait for an event with these values; what came before it is forgotten."""
        wanted = {"event": event, **what}
        return until(f"{self._folder.name}: {wanted}", lambda: self._take(wanted), within_s)[0]

    def forget(self) -> None:
        """Wait until it has no call and has done all that it was told; forget what happened."""
        until(f"{self._folder.name} has no call", self._is_idle)
        self._seen.clear()

    def _is_idle(self) -> bool:
        self._tell("count")
        return bool(self.expect("counted")["calls"] == 0)

    def end(self) -> None:
        ended(self._process, self._folder)

    def _take(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        self._read()
        for at, one in enumerate(self._seen):
            if wanted.items() <= one.items():
                del self._seen[: at + 1]
                return [one]
        return []

    def _read(self) -> None:
        screen = (self._folder / "screen.log").read_bytes()
        end = screen.rfind(b"\n") + 1
        lines = screen[self._read_to : end].splitlines()
        self._seen += [json.loads(line) for line in lines if line.startswith(b"{")]
        self._read_to = end

    def _tell(self, *words: str) -> None:
        tell(self._process, json.dumps(words))
