"""Is a provisioning file right? Every fault with its line, judged together with what is stored."""

from sipcore.errors import BadConfig
from sipcore.rating.tables import Fault, Place
from sipcore.rating.tariff import Tariff, embedded_catalogue
from sipcore.store.draft import row_of
from sipcore.store.forms import NEUTRAL, mend, parse_forms
from sipcore.store.lines import Lines
from sipcore.store.merge import Merged, collisions, merge
from sipcore.store.references import CHECKS, Case
from sipcore.store.rows import Rows, Site, no_rows
from sipcore.store.values import value_faults


def check_provisioning(
    text: str,
    site: Site | None = None,
    tariff: Tariff | None = None,
    stored: Rows | None = None,
) -> list[str]:
    """Return every fault of a file as a sentence with its line; none: it can be imported."""
    site = site or Site()
    tariff = tariff or embedded_catalogue().versions[-1]
    try:
        read_provisioning(text, site, tariff, no_rows() if stored is None else stored)
    except BadConfig as bad:
        return bad.faults
    return []


def read_provisioning(text: str, site: Site, tariff: Tariff, stored: Rows) -> Merged:
    """Read and judge a file. Raises BadConfig with every fault, in the order of its lines."""
    forms, faults = parse_forms(text)
    new = []
    mended: set[Place] = set()
    for placed in forms.placed:
        wrong = [one for one in value_faults(placed, site) if one[0][-1] not in placed.mended]
        if wrong:
            faults += wrong
            placed = mend(placed, frozenset(str(place[-1]) for place, _ in wrong))
        if placed.mended:
            mended |= {placed.place, *((*placed.place, key) for key in placed.mended)}
        new.append((placed, row_of(placed, site)))
    merged, found = merge(new, stored)
    found += collisions(merged)
    case = Case(forms.declared, merged, stored, tariff, site)
    for check in CHECKS:
        found += check(case)
    # Of what follows from a value that is wrong anyway, nothing is told.
    faults += [one for one in found if not mended or _is_news(one, mended)]
    if faults:
        raise BadConfig(_sentences(text, faults))
    return merged


def _is_news(fault: Fault, mended: set[Place]) -> bool:
    place, reason = fault
    return place not in mended and NEUTRAL not in reason


def _sentences(text: str, faults: list[Fault]) -> list[str]:
    lines = Lines(text)
    found = sorted({(lines.find(place), _shown(reason)) for place, reason in faults})
    return [f"line {line}: {reason}" for line, reason in found]


def _shown(reason: str) -> str:
    """A reason may quote the file: what commands a terminal, or does not print, is escaped."""
    if reason.isprintable():
        return reason
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in reason)
