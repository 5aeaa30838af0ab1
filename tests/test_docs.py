"""What the documents say is so: metrics, alerts, files."""

import re
from pathlib import Path

import pytest

from docs.write import PAGE, text
from sipcore.catalogue import DEFINITIONS
from tests.interop import matrix

ROOT = Path(__file__).parents[1]
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")
RULES = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text("utf-8")
ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)


def sections() -> dict[str, str]:
    """Return the text under each heading of operating.md of the third rank."""
    _, *parts = re.split(r"^### ", OPERATING, flags=re.MULTILINE)
    named = (part.partition("\n") for part in parts)
    return {name.strip(): body.partition("\n## ")[0].strip() for name, _, body in named}


def test_the_page_of_metrics_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text("utf-8") == text(DEFINITIONS), "run make docs"


def test_every_metric_stands_on_the_page_once() -> None:
    page = PAGE.read_text("utf-8")
    for one in DEFINITIONS:
        assert len(re.findall(rf"^\| `{one.sample_name}[`_]", page, re.MULTILINE)) >= 1


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_heading_and_something_to_do(alert: str) -> None:
    assert len(sections()[alert].split()) >= 15


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_leads_to_its_heading(alert: str) -> None:
    assert f"runbook: docs/operating.md#{alert.lower()}\n" in RULES


def test_no_heading_is_of_an_alert_that_is_no_more() -> None:
    assert sorted(name for name in sections() if name.startswith("Sipcore")) == sorted(ALERTS)


def test_the_page_of_clients_is_what_the_tests_promise() -> None:
    promised = matrix.Matrix()
    for cell in matrix.cells():
        promised.shows(*cell)
    page = matrix.without_versions(matrix.PAGE.read_text("utf-8"))
    assert page == matrix.without_versions(promised.text()), "run make interop"


def test_the_files_and_metrics_that_are_named_are_there() -> None:
    for path in re.findall(r"\b((?:deploy|docs)/[\w./-]*\w)", OPERATING):
        assert (ROOT / path).exists(), path
    known = {one.sample_name for one in DEFINITIONS}
    for name in re.findall(r"\bsipcore_[a-z_]+", OPERATING):
        assert name in known
