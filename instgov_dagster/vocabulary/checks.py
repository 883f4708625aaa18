"""Bounds on dataclass fields, declared where the field is; no policy numbers live here."""

import dataclasses
import math
from typing import Any


def number(
    default: float | None = None,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare a numeric dataclass field and the bounds its value must keep.

    ``None`` as default makes the field required.
    """
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    metadata = {"bounds": {k: v for k, v in bounds.items() if v is not None}}
    if default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


_WORDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _holds(value: float, word: str, bound: float) -> bool:
    match word:
        case "ge":
            return value >= bound
        case "gt":
            return value > bound
        case "le":
            return value <= bound
        case _:
            return value < bound


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def check_bounds(instance: Any) -> None:
    """Refuse an instance whose declared numbers are not finite, not whole or out of bounds.

    A field annotated ``int`` takes whole numbers only: 21.5 sessions is a mistake.

    Raises
    ------
    ValueError
        Naming the class, the field, its bounds and the value it had.
    """
    for field in dataclasses.fields(instance):
        bounds = field.metadata.get("bounds")
        if bounds is None:
            continue
        value = getattr(instance, field.name)
        text = " and ".join(f"{_WORDS[word]} {bound:g}" for word, bound in bounds.items())
        is_whole = field.type in (int, "int")
        kind = "whole" if is_whole else "finite"
        wanted = f"must be a {kind} number {text}".rstrip()
        name = f"{type(instance).__name__}.{field.name}"
        if isinstance(value, bool) or not isinstance(value, int if is_whole else (int, float)):
            raise ValueError(f"{name} {wanted}, was {value!r}")
        if not _is_finite(value) or not all(_holds(value, w, b) for w, b in bounds.items()):
            raise ValueError(f"{name} {wanted}, was {value!r}")
