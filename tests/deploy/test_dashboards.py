"""The dashboards: the committed files are what the code says, and they ask for what is counted."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.dashboards.board import Board, Line, to_json
from deploy.dashboards.boards import BOARDS
from sipcore.catalogue import DEFINITIONS
from sipcore.metric import Definition

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
METRICS = {one.name: one for one in DEFINITIONS}
LINES = [
    pytest.param(line, id=f"{board.uid}: {panel.title}: {line.legend}")
    for board in BOARDS
    for panel in board.panels
    for line in panel.lines
]
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def metric_of(name: str) -> Definition:
    """Return what a name in a query means. Raises KeyError."""
    return METRICS[re.sub(r"_(total|bucket|sum|count)$", "", name)]


@each_board
def test_the_file_is_what_the_code_says(board: Board) -> None:
    written = (FOLDER / f"{board.uid}.json").read_text("utf-8")
    assert written == to_json(board), "run make docs"


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {board.uid for board in BOARDS}


@each_board
def test_every_panel_has_words_for_those_who_look(board: Board) -> None:
    titles = [panel.title for panel in board.panels]
    assert len(set(titles)) == len(titles)
    for panel in board.panels:
        assert panel.description.endswith(".")
        assert all(line.legend for line in panel.lines)


@each_board
def test_no_panel_lies_on_another(board: Board) -> None:
    made: dict[str, Any] = json.loads(to_json(board))
    places = [panel["gridPos"] for panel in made["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])


@pytest.mark.parametrize("line", LINES)
def test_a_query_asks_for_metrics_and_labels_that_there_are(line: Line) -> None:
    asked = re.findall(r"(sipcore_\w+)\{@(?:,([^}]*))?\}", line.expression)
    assert len(asked) == line.expression.count("sipcore_")
    labels: set[str] = set()
    for name, chosen in asked:
        metric = metric_of(name)
        suffixes = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ()
        assert name == metric.sample_name or name.removeprefix(metric.name) in suffixes
        assert set(re.findall(r"(\w+)[=!]~?\"", chosen)) <= set(metric.labels)
        labels |= set(metric.labels)
    for grouped in re.findall(r"by \(([^)]*)\)", line.expression):
        assert set(grouped.split(", ")) <= labels | {"instance", "le"}


@pytest.mark.parametrize("line", LINES)
def test_a_counter_is_never_shown_as_it_is(line: Line) -> None:
    for name in re.findall(r"(?<!rate\()(?<!increase\()\b(sipcore_\w+)", line.expression):
        assert metric_of(name).kind == "gauge"
