"""A phone's subscription: what a busy lamp or a message light does on the other side."""

import asyncio
from xml.etree import ElementTree

from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Reply, Told, Within
from sipcore.message.message import Headers, Request, Response
from tests.sim.phone import Phone
from tests.sim.talking import check_all_is_over
from tests.sim.world import World

INFO = "{urn:ietf:params:xml:ns:dialog-info}"


class Lamp:
    """One subscription of a phone. `notifies` grows; `answers` are given in turn, then 200."""

    def __init__(self, phone: Phone, number: str, event: str = "dialog") -> None:
        self.phone = phone
        self.event = event
        self.uri = f"sip:{number}@{phone.domain}"
        self.dialog: Dialog | None = None
        self.notifies: list[Request] = []
        self.at: list[float] = []
        self.answers: list[tuple[int, Headers | None]] = []
        self._reply: asyncio.Future[Response] | None = None

    async def subscribe(self, expires_s: int | None = 300, **headers: str) -> Response:
        """Subscribe, or refresh, and sign in when asked to."""
        extra: Headers = {"Event": [self.event]}
        if expires_s is not None:
            extra["Expires"] = [str(expires_s)]
        extra |= {name.replace("_", "-"): [value] for name, value in headers.items()}
        if self.dialog is None:
            request = self.phone.new_request("SUBSCRIBE", self.uri, extra)
        else:
            contact = self.phone.hop().contact(self.phone.user)
            request = self.dialog.request("SUBSCRIBE", {"Contact": [contact], **extra})
        response = await self._ask(request)
        if response.status == 401 and self.phone.password:
            signed = self.phone.signed(request, response)
            if self.dialog is not None:
                self.dialog.local_number += 1
            response = await self._ask(signed)
        return response

    async def _ask(self, request: Request) -> Response:
        self._reply = asyncio.get_running_loop().create_future()
        self.phone.endpoint.request(request, self.phone.hop(), self)
        return await self._reply

    def feed(self, event: Told) -> None:
        if isinstance(event, Reply) and event.response.status >= 200:
            self._answered(event)
        elif isinstance(event, Within):
            self.notifies.append(event.request)
            self.at.append(asyncio.get_running_loop().time())
            status, headers = self.answers.pop(0) if self.answers else (200, None)
            self.phone.endpoint.respond(event.transaction, status, headers)

    def _answered(self, event: Reply) -> None:
        response, stack = event.response, self.phone.stack
        if response.status == 200 and self.dialog is None:
            self.dialog = Dialog.of_client(event.request, response, event.transaction.flow)
            self.dialog.is_confirmed = True
            self.dialog.user = self
            stack.dialogs[self.dialog.key] = self.dialog
        assert self._reply is not None
        self._reply.set_result(response)

    def forget(self) -> None:
        """Be a phone that has been switched off and on: it knows no dialog."""
        assert self.dialog is not None
        self.phone.endpoint.end(self.dialog)

    @property
    def state(self) -> str:
        """The last Subscription-State."""
        return self.notifies[-1].first("Subscription-State") or ""

    @property
    def body(self) -> ElementTree.Element:
        """The last document."""
        return ElementTree.fromstring(self.notifies[-1].body)

    def shown(self, notify: Request | None = None) -> list[tuple[str, str, str]]:
        """Return state, direction and remote identity of each dialog told."""
        root = ElementTree.fromstring((notify or self.notifies[-1]).body)
        assert root.get("state") == "full"
        return [
            (
                one.findtext(f"{INFO}state") or "",
                one.get("direction") or "",
                one.findtext(f"{INFO}remote/{INFO}identity") or "",
            )
            for one in root.iter(f"{INFO}dialog")
        ]

    def states(self) -> list[list[str]]:
        """Return the states of dialogs, NOTIFY by NOTIFY."""
        return [[state for state, _, _ in self.shown(one)] for one in self.notifies]


async def watch(here: World, number: str = "8001", event: str = "dialog") -> Lamp:
    """Let the workshop's phone watch somebody."""
    lamp = Lamp(here.phone("8002", "workshop-8002"), number, event)
    assert (await lamp.subscribe()).status == 200
    await here.pass_time(0.1)
    return lamp


async def check_left_alone(here: World) -> None:
    """Check that nothing is left once every subscription is over."""
    await here.pass_time(800)
    assert len(here.node.watchers) == 0
    await check_all_is_over(here)
