"""What a metric is: name, kind, unit, meaning, and labels with all the values they may have.

Cardinality is fixed: a label only ever has the values listed, whatever the network sends.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]
Counted = Literal["signalling", "media", "web"]
Labels = Mapping[str, tuple[str, ...]]

NO_LABELS: Labels = MappingProxyType({})


class Definition(Struct, frozen=True):
    """One metric. `name` is without `_total`; `labels` gives each label's values."""

    name: str
    kind: Kind
    help: str
    unit: str
    labels: Labels = NO_LABELS
    buckets: tuple[float, ...] = ()
    counted: Counted = "signalling"

    @property
    def sample_name(self) -> str:
        """The name as it stands on the page; a histogram's has `_bucket`, `_sum`, `_count`."""
        return self.name + "_total" if self.kind == "counter" else self.name
