"""The pages: /, /metrics, /health, /ready and nothing else. Asks the node, keeps nothing.

What is live is asked over the control socket each time; nothing here can change the node.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import ResponseHeader, State
from litestar.exceptions import HTTPException
from msgspec import Struct

from sipcore import catalogue
from sipcore.clock import Clock, SystemClock
from sipcore.control import ControlFault, Readiness, Status, ask_async
from sipcore.errors import NoNode
from sipcore.log import logger
from sipcore.metrics import Family, by_process, render
from sipcore.web import local, page

METRICS_TYPE = "text/plain; version=0.0.4"  # litestar adds the charset
BODY_BYTES = 1024  # nothing here takes a body
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{page.STYLE_HASH}';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_log = logger(__name__)


class Site(Struct, frozen=True):
    """What the pages need to know. `data` is the node's data folder."""

    data: Path
    language: page.Language = "zh"
    clock: Clock = SystemClock()


def create_app(site: Site) -> Litestar:
    """Return the application. No schema pages, no debug, no traceback to anyone."""
    return Litestar(
        route_handlers=[status_page, metrics_page, health, ready],
        state=State({"site": site}),
        openapi_config=None,
        debug=False,
        request_max_body_size=BODY_BYTES,
        response_headers=[ResponseHeader(name=k, value=v) for k, v in HEADERS.items()],
        exception_handlers={HTTPException: _refuse, Exception: _stumble},
    )


@get("/", media_type=MediaType.HTML)
async def status_page(request: Request[Any, Any, Any], state: State) -> Response[str]:
    """The status page; 503 when the node does not answer."""
    site: Site = state["site"]
    asked, accepted = request.query_params.get("lang"), request.headers.get("accept-language", "")
    language = page.choose_language(asked, accepted, site.language)
    try:
        status = await ask_async(site.data, "health", "", Status)
        reasons = (await ask_async(site.data, "ready", "", Readiness)).reasons
    except (NoNode, ControlFault):
        return Response(page.render(None, [], language, 0), status_code=503)
    return Response(page.render(status, reasons, language, site.clock.wall_s()))


@get("/metrics")
async def metrics_page(state: State) -> Response[bytes]:
    """Every process's counters in one page. A silent node is `sipcore_up` 0, not an error."""
    site: Site = state["site"]
    families = local.families(site.data)
    try:
        families += await ask_async(site.data, "metrics", "", list[Family])
    except (NoNode, ControlFault):
        families.append(by_process(catalogue.UP, {"signalling": 0}))
    return Response(render(families), media_type=METRICS_TYPE)


@get("/health")
async def health(state: State) -> Response[dict[str, object]]:
    """200 while the node answers."""
    site: Site = state["site"]
    try:
        status = await ask_async(site.data, "health", "", Status)
    except (NoNode, ControlFault) as fault:
        return _json(503, "down", [str(fault)])
    return Response({"status": "up", "node": status.node, "version": status.version})


@get("/ready")
async def ready(state: State) -> Response[dict[str, object]]:
    """200 while the node takes calls; a balancer sends calls elsewhere on 503."""
    site: Site = state["site"]
    try:
        reasons = (await ask_async(site.data, "ready", "", Readiness)).reasons
    except (NoNode, ControlFault) as fault:
        reasons = [str(fault)]
    return _json(503, "not ready", reasons) if reasons else Response({"status": "ready"})


def _json(status_code: int, status: str, reasons: Sequence[str]) -> Response[dict[str, object]]:
    return Response({"status": status, "reasons": list(reasons)}, status_code=status_code)


def _refuse(_: Request[Any, Any, Any], fault: HTTPException) -> Response[dict[str, object]]:
    """What the client did wrong, in the words of HTTP."""
    return Response({"status": fault.status_code}, status_code=fault.status_code, headers=HEADERS)


def _stumble(request: Request[Any, Any, Any], fault: Exception) -> Response[dict[str, object]]:
    """A bug is for the log."""
    _log.error("web path=%s failed", request.url.path, exc_info=fault)
    return Response({"status": 500}, status_code=500, headers=HEADERS)
