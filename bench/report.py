"""What a bench found: figures, checks, budgets; for people and for programs."""

import os
import platform
import tomllib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

BUDGETS = Path(__file__).with_name("budgets.toml")
Figures = dict[str, float]


class Budget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bound on a figure of a bench; exactly one of `most` and `least` stands.

    `peer`: the program that it compares with, if it does.
    """

    bench: str
    figure: str
    unit: str
    asked_by: str = field(name="from")
    most: float | None = None
    least: float | None = None
    peer: str = ""

    def is_met(self, value: float | None) -> bool:
        if value is None:
            return False
        return value <= self.most if self.most is not None else value >= (self.least or 0)

    def bound(self) -> str:
        return f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"


class Chart(Struct):
    """Lines over the same axes; `x` and `y` are the axes' words with their units."""

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]


class Report(Struct):
    """The outcome of one bench. `faults`: what was wrong with the run itself, or with the calls."""

    bench: str
    rows: list[tuple[str, str]] = []  # for people: what, and how much with its unit
    figures: Figures = {}
    faults: list[str] = []
    charts: list[Chart] = []


class Judged(Struct, frozen=True):
    """A budget and what was found."""

    budget: Budget
    value: float | None
    is_met: bool


def read_budgets(text: str) -> list[Budget]:
    """Read budgets.toml. Raises msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(text)["budget"], list[Budget])


def judge(budgets: Iterable[Budget], report: Report) -> list[Judged]:
    """Hold a report against the budgets of its bench; a figure that is not there misses."""
    mine = [one for one in budgets if one.bench == report.bench]
    values = [report.figures.get(one.figure) for one in mine]
    return [Judged(b, v, b.is_met(v)) for b, v in zip(mine, values, strict=True)]


def expected(judged: Iterable[Judged], *, searching: bool, peers: bool) -> list[Judged]:
    """Leave out the budgets without a value that nobody asked to measure."""
    return [
        one
        for one in judged
        if one.value is not None or (searching and (peers or not one.budget.peer))
    ]


def machine() -> dict[str, Any]:
    """Describe the machine without naming it."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
    }


def to_text(report: Report, judged: Sequence[Judged]) -> str:
    """Write a report as people read it."""
    width = max((len(what) for what, _ in report.rows), default=0)
    lines = [f"== {report.bench}", *(f"{what:<{width}}  {much}" for what, much in report.rows)]
    for one in judged:
        found = "not measured" if one.value is None else f"{one.value:.4g}"
        word = "met" if one.is_met else "NOT MET"
        budget = one.budget
        lines.append(
            f"budget {word}: {budget.figure} {budget.bound()} {budget.unit} "
            f"({budget.asked_by}): {found}"
        )
    lines += [f"FAULT: {fault}" for fault in report.faults]
    return "\n".join(lines) + "\n"


def to_object(report: Report, judged: Sequence[Judged]) -> dict[str, Any]:
    """Return a report for programs."""
    return {
        "figures": report.figures,
        "faults": report.faults,
        "budgets": [
            {
                "figure": one.budget.figure,
                "bound": one.budget.bound(),
                "value": one.value,
                "met": one.is_met,
            }
            for one in judged
        ],
        "charts": [msgspec.to_builtins(one) for one in report.charts],
    }
