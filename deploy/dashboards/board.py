"""How a dashboard is said here, and how it becomes Grafana's JSON. Knows no metric.

In an expression `@` stands for the choice of nodes: sipcore_up{@} or sipcore_up{@,process="web"}.
"""

import json
from typing import Literal

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)
from msgspec import Struct

NODES = 'instance=~"$instance"'
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
WIDTH = 24

Unit = Literal["short", "percentunit", "s", "bytes", "bps", "cps", "pps", "mps", "reqps"]


class Line(Struct, frozen=True):
    """A query, and what its lines are called: text with {{labels}}."""

    expression: str
    legend: str

    @property
    def query(self) -> str:
        """The expression as Prometheus takes it, but for Grafana's own $variables."""
        return self.expression.replace("@", NODES)


class Graph(Struct, frozen=True):
    """Lines over time. `most` is the top of the axis where there is one."""

    title: str
    description: str
    unit: Unit
    lines: tuple[Line, ...]
    most: float | None = None


class Figure(Struct, frozen=True):
    """One number, as it is now."""

    title: str
    description: str
    unit: Unit
    lines: tuple[Line]


Panel = Graph | Figure


class Board(Struct, frozen=True):
    """A dashboard: headings, and the panels under each."""

    uid: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    @property
    def panels(self) -> list[Panel]:
        return [panel for _, panels in self.rows for panel in panels]


def to_json(board: Board) -> str:
    """Return the text of a dashboard's file: what Grafana imports."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["sipcore"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Source").type("prometheus")
        )
        .with_variable(_instances())
    )
    number = 0
    for heading, panels in board.rows:
        made.with_row(dashboard.Row(heading).id(number := number + 1))
        for panel in panels:
            made.with_panel(_panel(panel).id(number := number + 1))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _instances() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("instance")
        .label("Node")
        .datasource(SOURCE)
        .query("label_values(sipcore_info, instance)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    made: stat.Panel | timeseries.Panel
    if isinstance(panel, Figure):
        calcs = ReduceDataOptions().calcs(["lastNotNull"])
        made = stat.Panel().reduce_options(calcs).span(4).height(4)
    else:
        legend = VizLegendOptions().display_mode(LegendDisplayMode.TABLE).calcs(["lastNotNull"])
        legend.placement(LegendPlacement.BOTTOM).show_legend(True)
        made = timeseries.Panel().legend(legend).fill_opacity(8).line_width(1).min(0)
        made.span(8).height(8)
        if panel.most is not None:
            made.max(panel.most)
    made.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    for letter, line in zip("ABCDEFGH", panel.lines, strict=False):
        query = prometheus.Dataquery().expr(line.query).legend_format(line.legend).range()
        made.with_target(query.ref_id(letter).datasource(SOURCE))
    return made
