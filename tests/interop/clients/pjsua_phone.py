"""A pjsua2 phone, driven by lines of JSON on standard input; tells what happens on standard output.

Runs in .venv-clients; knows nothing of the tests. It answers every call.
"""

import ctypes
import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any

import pjsua2 as pj  # type: ignore[import-not-found]

STATES = {
    pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "held here",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "held there",
}
KINDS = {
    "udp": (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_UDP6),
    "tcp": (pj.PJSIP_TRANSPORT_TCP, pj.PJSIP_TRANSPORT_TCP6),
    "tls": (pj.PJSIP_TRANSPORT_TLS, pj.PJSIP_TRANSPORT_TLS6),
}
POLL_MS = 10
STRINGS = "uri", "dialog", "document", "entity", "call_id", "near_tag", "far_tag", "side", "state"


def tell(event: str, **what: Any) -> None:
    print(json.dumps({"event": event, **what}), flush=True)


class Call(pj.Call):  # type: ignore[misc]
    """One call; the last one is the one that commands are for."""

    def __init__(self, phone: "Phone", call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone, call_id)
        self.phone = phone
        phone.calls.append(self)

    def onCallState(self, _: Any) -> None:
        info = self.getInfo()
        tell(info.stateText.lower(), status=info.lastStatusCode)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED and self in self.phone.calls:
            self.phone.calls.remove(self)
            self.phone.gone.append(self)  # pjsua2 must not see it deleted within a callback

    def onCallMediaState(self, _: Any) -> None:
        info = self.getInfo()  # holds what `media` points to
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                tell("media", status=STATES.get(media.status, str(media.status)))

    def onDtmfDigit(self, param: Any) -> None:
        is_info = param.method == pj.PJSUA_DTMF_METHOD_SIP_INFO
        tell("dtmf", digit=param.digit, by="info" if is_info else "rtp")

    def onCallTransferStatus(self, param: Any) -> None:
        tell("transfer", status=param.statusCode, final=param.finalNotify)


class Text(ctypes.Structure):
    """pj_str_t."""

    _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_ssize_t))

    def __str__(self) -> str:
        return ctypes.string_at(self.at, self.size).decode() if self.size else ""


class Told(ctypes.Structure):
    """pjsua_buddy_dlg_event_info as far as the dialog's state, and room for the rest."""

    _fields_ = (
        ("buddy", ctypes.c_int),
        *((name, Text) for name in STRINGS),
        ("rest", ctypes.c_char * 8192),
    )


class Lamp(pj.Buddy):  # type: ignore[misc]
    """An extension that is watched. pjsua2 itself knows presence alone; the library that it is
    made of knows dialog-info, too."""

    library = ctypes.CDLL(pj._pjsua2.__file__)

    def __init__(self, phone: "Phone", uri: str) -> None:
        super().__init__()
        config = pj.BuddyConfig()
        config.uri, config.subscribe = uri, False
        self.create(phone, config)
        self._state = ""
        self.library.pjsua_buddy_subscribe_dlg_event(self.getId(), 1)

    def look(self) -> None:
        told = Told()
        self.library.pjsua_buddy_get_dlg_event_info(self.getId(), ctypes.byref(told))
        if str(told.state) != self._state:
            self._state = str(told.state)
            tell("lamp", text=self._state)


class Friend(pj.Buddy):  # type: ignore[misc]
    """An extension whose presence is watched."""

    def onBuddyState(self) -> None:
        status = self.getInfo().presStatus.status
        if status != pj.PJSUA_BUDDY_STATUS_UNKNOWN:
            tell("presence", is_there=status == pj.PJSUA_BUDDY_STATUS_ONLINE)


class Phone(pj.Account):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.gone: list[Call] = []
        self.lamps: list[Lamp] = []
        self.friends: list[Friend] = []

    def onRegState(self, param: Any) -> None:
        tell("registration", status=param.code)

    def onIncomingCall(self, param: Any) -> None:
        call = Call(self, param.callId)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)

    def onMwiInfo(self, param: Any) -> None:
        tell("mwi", text=param.rdata.wholeMsg.partition("\r\n\r\n")[2])

    def onInstantMessage(self, param: Any) -> None:
        tell("message", text=param.msgBody)

    def onSendRequest(self, param: Any) -> None:
        transaction = param.e.body.tsxState.tsx
        tell("answered", method=transaction.method, status=transaction.statusCode)


def param(**options: Any) -> pj.CallOpParam:
    made = pj.CallOpParam(True)
    for name, value in options.items():
        setattr(made, name, value)
    return made


def watch(phone: Phone, event: str, uri: str) -> None:
    if event == "dialog":  # the account subscribes to message-summary by itself
        phone.lamps.append(Lamp(phone, uri))
    if event == "presence":
        friend, config = Friend(), pj.BuddyConfig()
        config.uri, config.subscribe = uri, True
        friend.create(phone, config)
        phone.friends.append(friend)


def write(phone: Phone, uri: str, text: str) -> None:
    buddy, config, message = pj.Buddy(), pj.BuddyConfig(), pj.SendInstantMessageParam()
    config.uri, config.subscribe, message.content = uri, False, text
    buddy.create(phone, config)
    buddy.sendInstantMessage(message)


def ask(phone: Phone, uri: str) -> None:
    request = pj.SendRequestParam()
    request.method, request.txOption.targetUri = "OPTIONS", uri
    phone.sendRequest(request)


def count(phone: Phone) -> None:
    tell("counted", calls=len(phone.calls))


def leave(phone: Phone) -> None:
    phone.setRegistration(False)


def join(phone: Phone) -> None:
    phone.setRegistration(True)


COMMANDS: dict[str, Callable[..., None]] = {
    "watch": watch,
    "write": write,
    "ask": ask,
    "count": count,
    "leave": leave,
    "join": join,
}


def obey(phone: Phone, command: str, words: list[str]) -> None:
    """Do what a line says."""
    call = phone.calls[-1] if phone.calls else None
    if command == "call":
        Call(phone).makeCall(words[0], param())
    elif command in COMMANDS:
        COMMANDS[command](phone, *words)
    elif call is None:
        tell("no call")
    elif command == "hang up":
        call.hangup(param())
    elif command == "hold":
        call.setHold(pj.CallOpParam())
    elif command == "resume":
        back = pj.CallOpParam(True)
        back.opt.flag = pj.PJSUA_CALL_UNHOLD
        call.reinvite(back)
    elif command == "dtmf":
        digits = pj.CallSendDtmfParam()
        digits.digits = words[0]
        digits.method = (
            pj.PJSUA_DTMF_METHOD_SIP_INFO if words[1] == "info" else pj.PJSUA_DTMF_METHOD_RFC2833
        )
        call.sendDtmf(digits)
    elif command == "transfer":
        call.xfer(words[0], pj.CallOpParam())
    elif command == "transfer to consulted":
        phone.calls[-2].xferReplaces(call, pj.CallOpParam())


def configured(endpoint: pj.Endpoint, told: dict[str, Any]) -> Phone:
    """Start the library and sign in as told."""
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = 5
    config.logConfig.consoleLevel = 0
    config.logConfig.filename = told["log"]
    config.medConfig.noVad = True
    config.medConfig.clockRate = 8000
    config.medConfig.sndAutoCloseTime = -1  # else it falls silent a second after a call
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress, transport.port = told["host"], told["port"]
    transport.tlsConfig.CaListFile = told["ca"]
    transport.tlsConfig.verifyServer = True
    endpoint.transportCreate(KINDS[told["transport"]][":" in told["host"]], transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 128 * codec.codecId.startswith("PCM"))
    account = pj.AccountConfig()
    account.idUri = f"sip:{told['user']}@{told['domain']}"
    account.regConfig.registrarUri = f"sip:{told['domain']}"
    credentials = pj.AuthCredInfo("digest", "*", told["user"], 0, told["password"])
    account.sipConfig.authCreds.append(credentials)
    account.sipConfig.proxies.append(told["proxy"])
    account.mediaConfig.transportConfig.boundAddress = told["host"]
    account.mediaConfig.transportConfig.port = told["rtp"]
    account.mediaConfig.transportConfig.portRange = told["rtp_count"]
    account.natConfig.contactRewriteUse = 0
    account.mwiConfig.enabled = True
    if ":" in told["host"]:
        account.sipConfig.ipv6Use = account.mediaConfig.ipv6Use = pj.PJSUA_IPV6_ENABLED
    phone = Phone()
    phone.create(account)
    return phone


def main() -> None:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    phone = configured(endpoint, json.loads(sys.argv[1]))
    tell("started", version=endpoint.libVersion().full)
    told = b""
    while True:
        endpoint.libHandleEvents(POLL_MS)
        phone.gone.clear()
        for lamp in phone.lamps:
            lamp.look()
        if select.select([0], [], [], 0)[0]:
            piece = os.read(0, 65536)  # sys.stdin would keep what select is asked for
            if not piece:
                break
            *lines, told = (told + piece).split(b"\n")
        else:
            lines = []
        for line in lines:
            command, *words = json.loads(line)
            try:
                obey(phone, command, words)
            except pj.Error as fault:
                tell("fault", text=fault.info())
    endpoint.libDestroy()


if __name__ == "__main__":
    main()
