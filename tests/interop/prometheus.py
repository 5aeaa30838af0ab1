"""A real Prometheus over a node: its data in a folder of the test, its rules those of deploy."""

import json
import math
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.interop.ports import HOST
from tests.interop.processes import begin
from tests.interop.waiting import until
from tests.packages import require

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yml"
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - {{job_name: sipcore, static_configs: [{{targets: ["{target}"]}}]}}
"""
BACK_S = 120


class Prometheus:
    """The process; it ends with `end`."""

    def __init__(self, folder: Path, port: int, target: str) -> None:
        require("prometheus")
        folder.mkdir()
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(rules=RULES, target=target), "utf-8")
        self._url = f"http://{HOST}:{port}"
        self._log = folder / "log"
        argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        self._process = begin([*argv, f"--web.listen-address={HOST}:{port}"], self._log)

    def wait_for_sample(self) -> None:
        """Wait until it has scraped the node."""
        until("Prometheus has scraped", self._has_scraped, 20)

    def _has_scraped(self) -> bool:
        assert self._process.poll() is None, f"Prometheus ended:\n{self._log.read_text('utf-8')}"
        try:
            return self.has_data("up == 1")
        except urllib.error.URLError:
            return False

    def has_data(self, query: str) -> bool:
        """Tell whether a query had a number as its value at any second so far."""
        now = float(self._ask("query", query="time()")["result"][1])
        found = self._ask("query_range", query=query, start=now - BACK_S, end=now, step=1)
        values = (float(value) for one in found["result"] for _, value in one["values"])
        return any(map(math.isfinite, values))

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule, with its `health`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str | float) -> dict[str, Any]:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            said: dict[str, Any] = json.load(answer)["data"]
        return said

    def end(self) -> None:
        """End it; its data is the test's to throw away."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
