"""aiosip 0.2.0 as a client: registers; calls the number of the first line on standard input, hangs
up at the second. Runs in .venv-clients.

The shim is what a library of 2017 needs on today's Python, and two mends of its own faults: it
copies `qop` without the fields that go with it, and its ACK names the method INVITE in CSeq.
"""

import asyncio
import collections
import collections.abc
import json
import sys
import types
from typing import Any

collections.MutableMapping = collections.abc.MutableMapping  # type: ignore[attr-defined]
asyncio.coroutine = types.coroutine  # type: ignore[attr-defined]

import aiosip  # type: ignore[import-not-found]  # noqa: E402
from aiosip import auth, call  # noqa: E402
from multidict import CIMultiDict  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=inactive\r\n"
)


def without_qop(authenticate: str, **others: Any) -> Any:
    kept = [part for part in authenticate.split(", ") if not part.startswith("qop")]
    return from_header(", ".join(kept), **others)


def ack(self: Any, msg: Any) -> None:
    if "INVITE" in msg.headers["CSeq"]:
        headers = CIMultiDict((name, msg.headers[name]) for name in ("Via", "From", "To"))
        headers["CSeq"] = msg.headers["CSeq"].replace("INVITE", "ACK")
        self.dialog.send_message(method="ACK", headers=headers)


from_header = auth.Auth.from_authenticate_header
auth.Auth.from_authenticate_header = without_qop
call.Call._ack = ack


async def line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


async def main(told: dict[str, Any]) -> None:
    me = f"sip:{told['user']}@{told['domain']}"
    place = (told["host"], told["port"])
    options = {
        "from_uri": me,
        "contact_uri": f"sip:{told['user']}@{place[0]}:{place[1]}",
        "local_addr": place,
        "remote_addr": (told["node"], told["node_port"]),
        "password": told["password"],
    }
    application = aiosip.Application()
    registration = await application.start_dialog(to_uri=me, **options)
    print(f"registered {(await registration.register(expires=600)).status_code}", flush=True)
    to = f"sip:{(await line()).strip()}@{told['domain']}"
    dialog = await application.start_dialog(to_uri=to, **options)
    headers = CIMultiDict({"Content-Type": "application/sdp"})
    talk = await call.Call.invite(dialog, headers=headers, sdp=SDP)
    print("answered", flush=True)
    await line()
    await talk.close()
    print("hung up", flush=True)


asyncio.run(main(json.loads(sys.argv[1])))
