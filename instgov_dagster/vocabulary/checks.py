"""Bounds on dataclass fields, declared where the field is; no policy numbers live here."""

import dataclasses
import functools
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
    for name, is_whole, bounds in _declared(type(instance)):  # type: ignore[arg-type]  # it hashes
        value = getattr(instance, name)
        is_number = isinstance(value, int if is_whole else (int, float))
        if (
            not is_number
            or isinstance(value, bool)
            or not _is_finite(value)
            or not all(_holds(value, word, bound) for word, bound in bounds)
        ):
            text = " and ".join(f"{_WORDS[word]} {bound:g}" for word, bound in bounds)
            wanted = f"must be a {'whole' if is_whole else 'finite'} number {text}".rstrip()
            raise ValueError(f"{type(instance).__name__}.{name} {wanted}, was {value!r}")


@functools.cache
def _declared(kind: type[Any]) -> tuple[tuple[str, bool, tuple[tuple[str, float], ...]], ...]:
    # The bounded fields of a class: name, whether whole numbers only, and the bounds.
    return tuple(
        (field.name, field.type in (int, "int"), tuple(field.metadata["bounds"].items()))
        for field in dataclasses.fields(kind)
        if field.metadata.get("bounds") is not None
    )
