"""linphonec as a phone: told by the lines of its prompt. It plays and records files."""

import re
from pathlib import Path

from tests.interop.clients.base import PRESENCE, RTP_PORTS, Line, Screen, ended, started, tell, uri
from tests.interop.tones import write_tone
from tests.interop.town import WORKSHOP
from tests.interop.waiting import until
from tests.packages import require

TONE_HZ, TONE_S = 700.0, 30
FRIEND = WORKSHOP.user
PAUSED = "is now paused"
CONFIG = """
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port={tls}
bind_address={host}
use_info=1
use_rfc2833=1
keepalive_period=30000
default_proxy=0
verify_server_certs=1
verify_server_cn=0
guess_hostname=0
use_ipv6={is_ipv6}
root_ca={ca}
media_encryption=none
[net]
dns_srv_enabled=0
[rtp]
audio_rtp_port={rtp}-{last_rtp}
bind_address={host}
[auth_info_0]
username={user}
passwd={password}
realm=*
[proxy_0]
reg_proxy=<sip:{node};transport={transport}>
reg_route=<sip:{node};transport={transport};lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
publish=0
dial_escape_plus=0
[friend_0]
url="Friend" <{friend}>
pol=accept
subscribe=1
[misc]
uuid=
"""


class Linphone:
    """One phone. It sends each digit both ways."""

    def __init__(self, folder: Path, line: Line) -> None:
        require("linphonec")
        self._folder = folder
        self._heard = Screen(folder)
        self._line = line
        self._held = 0
        (folder / ".local" / "share" / "linphone").mkdir(parents=True)  # it starts without, dumb
        ports = {one: line.sip if one == line.transport else 0 for one in ("udp", "tcp", "tls")}
        (folder / "rc").write_text(
            CONFIG.format(
                host=line.host,
                is_ipv6=int(":" in line.host),
                ca=line.ca,
                rtp=line.rtp,
                last_rtp=line.rtp + RTP_PORTS - 1,
                user=line.account.user,
                password=line.account.password,
                domain=line.account.domain,
                node=line.node,
                transport=line.transport,
                friend=uri(FRIEND, line),
                **ports,
            )
        )
        argv = ["linphonec", "-c", "rc", "-a", "-d", "6", "-l", str(folder / "linphone.log")]
        self._process = started(argv, folder)

    def start(self) -> None:
        until("linphonec listens", lambda: "linphonec>" in self._screen())
        self._tell("soundcard use files")
        tone = write_tone(self._folder / "tone.wav", TONE_HZ, TONE_S)
        self._tell(f"play {tone}")

    def call(self, number: str) -> None:
        self._wait_for_hold()
        self._tell(f"call {uri(number, self._line)}")

    def hang_up(self) -> None:
        self._tell("terminate all")

    def hold(self) -> None:
        self._tell("pause")
        self._held += 1

    def resume(self) -> None:
        self._wait_for_hold()
        self._tell("resume")

    def press(self, digit: str, by: str) -> None:
        self._tell(digit)

    def transfer(self, number: str) -> None:
        self._tell(f"transfer {uri(number, self._line)}")

    def transfer_to_consulted(self) -> None:
        ids = re.findall(r"assigned id (\d+)", self._screen())
        connected = f"Media streams established with sip:.* for call {ids[-1]} "
        until("linphone knows of the answer", lambda: re.search(connected, self._screen()))
        self._tell(f"transfer {ids[-2]} --to-call {ids[-1]}")

    def watch(self, event: str, number: str) -> None:
        """It has subscribed from the start."""
        assert (event, number) == (PRESENCE, FRIEND)

    def sees(self, *, is_there: bool) -> bool:
        found = re.findall(r"Friend .* is (\w+)", self._heard.text())
        return found[-1:] == ["Online" if is_there else "Offline"]

    def write(self, number: str, text: str) -> None:
        self._tell(f"chat {uri(number, self._line)} {text}")

    def ask(self, number: str) -> None:
        raise NotImplementedError

    def is_told(self, words: str) -> bool:
        return words in self._heard.text()

    def forget(self) -> None:
        self._heard.forget()

    def _wait_for_hold(self) -> None:
        until("linphone knows of the hold", lambda: self._screen().count(PAUSED) >= self._held)

    def end(self) -> None:
        ended(self._process, self._folder)

    def _tell(self, line: str) -> None:
        tell(self._process, line)

    def _screen(self) -> str:
        return (self._folder / "screen.log").read_text("utf-8", "replace")
