"""A TOML table into a frozen struct, naming every fault in it, each with its place.

msgspec stops at the first fault of a table, which is what a running program wants. A person who
wrote a file wants them all: only after a failure is each key tried alone.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import NODEFAULT, Struct

Place = tuple[str | int, ...]  # keys and, in arrays of tables, positions from 0
Fault = tuple[Place, str]
Form = TypeVar("Form", bound=Struct)


def decode(table: object, form: type[Form], place: Place, faults: list[Fault]) -> Form | None:
    """Return the struct, or None and every fault of the table appended to `faults`."""
    try:
        return msgspec.convert(table, form)
    except msgspec.ValidationError as fault:
        found = _each_key(table, form, place) or [(place, str(fault))]
    faults.extend(found)
    return None


def decode_each(
    tables: object, form: type[Form], place: Place, faults: list[Fault]
) -> list[tuple[Place, Form]]:
    """Decode an array of tables. Return those without a fault, each with its place."""
    if not isinstance(tables, list):
        faults.append((place, f"write it as an array of tables, [[{place[-1]}]]"))
        return []
    forms = [
        ((*place, at), decode(one, form, (*place, at), faults)) for at, one in enumerate(tables)
    ]
    return [(where, one) for where, one in forms if one is not None]


def as_text(place: Place) -> str:
    """Write a place as msgspec does: $.plan[3].rent."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)


def _each_key(table: object, form: type[Struct], place: Place) -> list[Fault]:
    if not isinstance(table, Mapping):
        return []
    fields = {field.encode_name: field for field in msgspec.structs.fields(form)}
    faults: list[Fault] = [
        ((*place, key), f"unknown key `{key}`") for key in table if key not in fields
    ]
    for key, field in fields.items():
        if key in table:
            if (reason := _fault_of(table[key], field.type)) is not None:
                faults.append(((*place, key), f"{key}: {reason}"))
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            faults.append((place, f"missing key `{key}`"))
    return faults


def _fault_of(value: object, kind: Any) -> str | None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as fault:
        reason, _, inner = str(fault).partition(" - at `$")
        return f"{reason} (at {inner[:-1]})" if inner else reason
    return None
