"""The alert rules: Prometheus takes them, they ask for metrics that are there, each is tested."""

import re
import subprocess
from pathlib import Path

import pytest

from sipcore.catalogue import DEFINITIONS
from tests.packages import require

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = (FOLDER / "rules.yml").read_text("utf-8")
TESTS = (FOLDER / "rules.test.yml").read_text("utf-8")
ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)
SUFFIXES = ("", "_bucket", "_sum", "_count")


def promtool(*words: str) -> None:
    require("prometheus")
    done = subprocess.run(
        ["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_configuration_and_the_rules_are_taken() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_alert_is_told_when_it_should_be_and_not_else() -> None:
    promtool("test", "rules", "rules.test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_been_made_to_fire(alert: str) -> None:
    assert re.search(rf'alertname="{alert}"|alertname: {alert}\n +exp_alerts', TESTS)


def test_what_the_rules_ask_for_is_counted() -> None:
    kinds = {
        one.sample_name + suffix
        for one in DEFINITIONS
        for suffix in SUFFIXES
        if (one.kind == "histogram") == bool(suffix)
    }
    asked = set(re.findall(r"\b(?<!:)sipcore_[a-z0-9_]+\b(?!:)", RULES))
    assert asked
    assert asked <= kinds


def test_each_alert_says_how_bad_it_is_and_what_to_read() -> None:
    for block in RULES.split("- alert: ")[1:]:
        assert re.search(r"labels: \{ severity: (page|ticket) \}", block)
        assert "summary: " in block
        assert "runbook: " in block
