"""The pages over a real control socket: with a node, without one, and to strangers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipcore import catalogue
from sipcore.clock import SystemClock
from sipcore.control import ControlServer, Readiness, Status
from sipcore.metrics import Family, Metrics, by_process
from sipcore.web.app import Site, create_app


class Node:
    """The signalling side of the control socket."""

    def __init__(self, folder: Path) -> None:
        self.reasons: list[str] = []
        self.metrics = Metrics()
        handlers = {"health": self.health, "ready": self.ready, "metrics": self.count}
        self.server = ControlServer(folder, handlers)

    async def health(self, _: str) -> Status:
        return Status(node="node-1", version="0.1.0", started_at=1.0, calls=7)

    async def ready(self, _: str) -> Readiness:
        return Readiness(self.reasons)

    async def count(self, _: str) -> list[Family]:
        return [by_process(catalogue.UP, {"signalling": 1}), *self.metrics.snapshot()]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    await node.server.start()
    yield node
    await node.server.close()


@asynccontextmanager
async def surfing(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    app: Any = create_app(site)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with surfing(Site(tmp_path)) as client:
        yield client


@pytest.mark.usefixtures("node")
async def test_with_a_node_all_is_well(browser: httpx.AsyncClient) -> None:
    health = await browser.get("/health")
    assert (health.status_code, health.json()) == (
        200,
        {"status": "up", "node": "node-1", "version": "0.1.0"},
    )
    ready = await browser.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    page = await browser.get("/", headers={"Accept-Language": "en"})
    assert page.status_code == 200
    assert "In service" in page.text


async def test_not_ready_says_why(browser: httpx.AsyncClient, node: Node) -> None:
    node.reasons = ["draining"]
    ready = await browser.get("/ready")
    assert (ready.status_code, ready.json()) == (
        503,
        {"status": "not ready", "reasons": ["draining"]},
    )


async def test_without_a_node_everything_says_so(browser: httpx.AsyncClient) -> None:
    for path in ("/", "/health", "/ready"):
        assert (await browser.get(path)).status_code == 503
    page = await browser.get("/metrics")
    assert page.status_code == 200
    assert 'sipcore_up{process="signalling"} 0.0' in page.text
    assert 'sipcore_up{process="web"} 1.0' in page.text


async def test_metrics_of_all_processes_are_one_page(
    browser: httpx.AsyncClient, node: Node, tmp_path: Path
) -> None:
    node.metrics.count_message("in", "INVITE")
    node.metrics.count_call("outbound", 486)
    (tmp_path / "restarts.json").write_text('{"media-0": 2}')
    page = await browser.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert page.text.count("# TYPE sipcore_up gauge") == 1
    for line in (
        'sipcore_up{process="web"} 1.0',
        'sipcore_up{process="signalling"} 1.0',
        'sipcore_restarts_total{process="media-0"} 2.0',
        'sipcore_messages_total{class="request",direction="in",method="INVITE"} 1.0',
        'sipcore_calls_total{cause_class="busy",direction="outbound"} 1.0',
    ):
        assert line in page.text


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("path", ["/schema", "/schema/openapi.json", "/docs", "/../etc/passwd"])
async def test_nothing_else_is_there(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert (answer.status_code, answer.json()) == (404, {"status": 404})


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/nothing"])
async def test_every_answer_has_the_security_headers(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("node")
async def test_nothing_can_be_written(browser: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await browser.request(method, "/health", content=b"x" * 4096)).status_code == 405


class BrokenClock(SystemClock):
    """Fails, as a page does that has a bug."""

    def wall_s(self) -> float:
        raise ValueError("secret detail")


@pytest.mark.usefixtures("node")
async def test_a_bug_shows_no_trace(tmp_path: Path) -> None:
    async with surfing(Site(tmp_path, clock=BrokenClock())) as browser:
        answer = await browser.get("/")
    assert (answer.status_code, answer.json()) == (500, {"status": 500})
