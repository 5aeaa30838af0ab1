"""JsSIP as a phone over WebSocket (RFC 7118), under Node. It has no sound."""

import json
import re
from pathlib import Path

from tests.interop.clients.base import Line, Screen, ended, started, tell
from tests.interop.clients.pjsua import ROOT
from tests.interop.waiting import until

MODULES = ROOT / ".venv-clients" / "node_modules"
PROGRAM = Path(__file__).with_name("jssip_phone.js")


class Jssip:
    """One phone. The numbers that it dials are those of its own customer."""

    def __init__(self, folder: Path, line: Line) -> None:
        assert MODULES.exists(), ".venv-clients has no JsSIP: make clients"
        self._folder = folder
        self._heard = Screen(folder)
        folder.mkdir()
        told = {"scheme": line.transport, "node": line.node, **line.account._asdict()}
        argv = ["node", str(PROGRAM), json.dumps(told)]
        self._process = started(argv, folder, NODE_PATH=str(MODULES), NODE_EXTRA_CA_CERTS=line.ca)

    def start(self) -> None:
        until("JsSIP is registered", lambda: self.is_told('"registered"'))

    def call(self, number: str) -> None:
        self._tell("call", number)

    def hang_up(self) -> None:
        self._tell("hang up")

    def hold(self) -> None:
        self._tell("hold")

    def resume(self) -> None:
        until("JsSIP knows of the hold", lambda: self.is_told("put on hold"))
        self._tell("resume")

    def press(self, digit: str, by: str) -> None:
        assert by == "info"
        self._tell("dtmf", digit)

    def transfer(self, number: str) -> None:
        self._tell("transfer", number)

    def transfer_to_consulted(self) -> None:
        until("the second call is answered", lambda: self._screen().count('"confirmed"') > 1)
        self._tell("transfer to consulted")

    def watch(self, event: str, number: str) -> None:
        self._tell("watch", event, number)

    def sees(self, *, is_there: bool) -> bool:
        found = re.findall(r"<basic>(\w+)", self._screen())
        return found[-1:] == ["open" if is_there else "closed"]

    def write(self, number: str, text: str) -> None:
        self._tell("write", number, text)

    def ask(self, number: str) -> None:
        self._tell("ask", number)
        until("JsSIP is answered", lambda: self.is_told("OPTIONS 200"))

    def is_told(self, words: str) -> bool:
        return words in self._screen()

    def forget(self) -> None:
        self._heard.forget()

    def end(self) -> None:
        ended(self._process, self._folder)

    def _tell(self, *words: str) -> None:
        tell(self._process, json.dumps(words))

    def _screen(self) -> str:
        return self._heard.text()
