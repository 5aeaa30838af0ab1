"""Write docs/metrics.md from sipcore/catalogue.py: `python docs/write.py`, or `make docs`."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sipcore.catalogue import DEFINITIONS
from sipcore.metric import Definition

PAGE = Path(__file__).with_name("metrics.md")
HEAD = """# Metrics

Written by `make docs` from sipcore/catalogue.py; do not edit.

`/metrics` of the web process ([web] address and port) shows those of all processes of a node, in
the Prometheus text format. A counter begins at 0 when the process that counts starts. The number of
series is fixed: no label carries a number, an address or a customer. `media-N` stands for media-0,
media-1 and so on.
"""
COUNTED = {
    "signalling": "Counted by signalling. Not there while it does not answer.",
    "media": "Counted by the media workers, asked for by signalling: one series a worker.",
    "web": "Found out by the web process itself, whether signalling answers or not.",
}


def text(definitions: Sequence[Definition]) -> str:
    """Return the page."""
    return "\n".join([HEAD, *_sections(definitions)])


def _sections(definitions: Sequence[Definition]) -> Iterator[str]:
    for counted, words in COUNTED.items():
        yield f"## {counted}\n\n{words}\n"
        yield "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|"
        yield from (_row(one) for one in definitions if one.counted == counted)
        yield ""


def _row(one: Definition) -> str:
    labels = "; ".join(f"{name}: {', '.join(values)}" for name, values in one.labels.items())
    name = one.sample_name + "_bucket, _sum, _count" * (one.kind == "histogram")
    return f"| `{name}` | {one.kind} | {one.unit} | {labels} | {one.help} |"


def main() -> int:
    """Write the page."""
    PAGE.write_text(text(DEFINITIONS), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
