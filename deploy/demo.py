"""What `make run` runs: a demonstration node on this machine, in front, with phones to try it.

Imports demo.toml with today as the opening day, prints who may register and what to dial, and then
is `sipcore serve` itself, so Ctrl-C and SIGTERM do what they do there.
"""

import argparse
import re
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sipcore import cli, log
from sipcore.config import Config, read_config
from sipcore.control import Table
from sipcore.errors import BadConfig, CannotStart
from sipcore.serve import serve
from sipcore.table import to_text

DEMO = Path(__file__).with_name("demo.toml")
OPENED = re.compile(r"^(\s*opened\s*=\s*)\d{4}-\d{2}-\d{2}", re.MULTILINE)
OUTSIDE = "02150001234"


def main() -> int:
    """Return the exit status of `sipcore serve`, or of the import when that fails."""
    parser = argparse.ArgumentParser(description="Run a demonstration node.")
    parser.add_argument("--config", metavar="FILE", type=Path)
    parser.add_argument("--data", metavar="DIR", type=Path)
    arguments = parser.parse_args()
    try:
        config = read_config(arguments.config)
    except BadConfig as bad:
        return complain("\n".join(bad.faults))
    data = (arguments.data or Path(config.node.data)).absolute()
    try:
        demo = prepare(data)
    except OSError as fault:
        return complain(str(fault))
    given = ["--config", str(arguments.config)] if arguments.config else []
    if status := cli.main(["import", *given, "--data", str(data), str(demo)]):
        return status
    print(welcome(tomllib.loads(demo.read_text("utf-8")), config), flush=True)
    log.start()
    threading.Thread(target=announce, args=(web_of(config),), daemon=True).start()
    try:
        return serve(config, data)
    except CannotStart as fault:
        return complain(str(fault))


def complain(words: str) -> int:
    print(f"sipcore: {words}", file=sys.stderr)
    return 2


def prepare(data: Path) -> Path:
    """Write DATA/demo.toml, opened on the day of the first run: later runs change nothing."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    demo = data / "demo.toml"
    known = OPENED.search(demo.read_text("utf-8")) if demo.exists() else None
    today = (datetime.now(UTC) + timedelta(hours=8)).date()  # the service's days are Shanghai's
    opened = known[0].split("=")[1].strip() if known else today.isoformat()
    demo.write_text(OPENED.sub(rf"\g<1>{opened}", DEMO.read_text("utf-8")), "utf-8")
    demo.chmod(0o600)
    return demo


def welcome(demo: dict[str, Any], config: Config) -> str:
    """Return what to try, as a page of text."""
    phones = Table(["name", "user", "password", "domain", "device"], list(_phones(demo)))
    numbers = Table(["dial", "from", "what answers"], list(_numbers(demo, config)))
    places = ", ".join(f"{one.transport} {one.address}:{one.port}" for one in config.listen)
    web = web_of(config)
    return "\n".join(
        [
            "",
            f"Phones may register at {places}",
            "(digest; user or user@domain; the domain is the phone's SIP domain):",
            "",
            to_text(phones),
            "Numbers to dial:",
            "",
            to_text(numbers),
            "A call outside ends with 503 until some SIP program answers at a carrier's address.",
            "",
            f"Pages    {web}/",
            f"Metrics  {web}/metrics   Health  {web}/health   Ready  {web}/ready",
            f"Ctrl-C stops the node; calls in progress get {config.limits.drain_s} s to end.",
            "",
        ]
    )


def _phones(demo: dict[str, Any]) -> Iterator[list[Any]]:
    for customer in demo.get("customer", []):
        domain = customer["domain"]
        for one in customer.get("extension", []):
            name = one.get("name", "")
            yield [name, one["number"], one["password"], domain, one.get("device", "phone")]
        for one in customer.get("trunk", []):
            if "user" in one:
                yield [f"PBX {one['id']}", one["user"], one["password"], domain, "pbx"]


def _numbers(demo: dict[str, Any], config: Config) -> Iterator[list[Any]]:
    for customer in demo.get("customer", []):
        for one in customer.get("extension", []):
            yield [one["number"], customer["domain"], f"extension {one.get('name', '')}"]
        for one in customer.get("number", []):
            yield [one["number"], "anywhere", f"{customer['name']}: leads to {one['to']}"]
    carriers = " or ".join(one["uri"] for one in demo.get("carrier", []))
    yield [OUTSIDE, "any phone but a soft one", f"the public network: {carriers}"]
    yield ["110, 119, 120, 122", "any phone", "emergency, by the same carriers, never barred"]


def web_of(config: Config) -> str:
    """Return where a browser on this machine finds the pages."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.web.address, config.web.address)
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{config.web.port}"


def announce(web: str) -> None:
    """Print `ready` once the node takes calls."""
    while True:
        try:
            with urllib.request.urlopen(f"{web}/ready", timeout=2):
                break
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    print("ready", flush=True)


if __name__ == "__main__":
    sys.exit(main())
