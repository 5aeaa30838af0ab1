"""Draws charts into one picture. matplotlib is imported only when there is something to draw."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from bench.report import Chart

FORMATS = (".png", ".svg")
COLUMNS = 2
INCHES = (6.4, 4.2)  # of a chart


def draw(charts: Sequence[Chart], title: str, path: Path) -> None:
    """Write a PNG or SVG, by the ending of its name; an empty page where no chart has a line."""
    from matplotlib.figure import Figure

    charts = [one for one in charts if any(one.lines.values())]
    rows = max(1, ceil(len(charts) / COLUMNS))
    page = Figure(figsize=(COLUMNS * INCHES[0], rows * INCHES[1]), layout="constrained")
    page.suptitle(title, fontsize="small")
    places = list(page.subplots(rows, COLUMNS, squeeze=False).flat)
    for place in places:
        place.set_axis_off()
    for chart, place in zip(charts, places, strict=False):
        place.set_axis_on()
        place.set_title(chart.title)
        place.set_xlabel(chart.x)
        place.set_ylabel(chart.y)
        for name, points in chart.lines.items():
            marker = "o" if len(points) < 30 else ""
            place.plot([x for x, _ in points], [y for _, y in points], marker=marker, label=name)
        place.set_ylim(bottom=0)
        place.grid(alpha=0.3)
        place.legend(fontsize="small")
    page.savefig(path, dpi=120)
