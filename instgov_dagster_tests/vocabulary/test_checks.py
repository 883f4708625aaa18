"""Bounds declared on a field hold from birth."""

import math
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.vocabulary.checks import check_bounds, number


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One field of every kind of bound, and one without."""

    closed: float = number(0.5, ge=0, le=1)
    open: float = number(0.5, gt=0, lt=1)
    free: float = number(0.0)
    required: int = number(ge=1)
    word: str = "x"

    def __post_init__(self) -> None:
        check_bounds(self)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_bounded_field_takes_exactly_what_lies_within_its_bounds(value: float) -> None:
    for name, is_within in (
        ("closed", 0 <= value <= 1),
        ("open", 0 < value < 1),
        ("free", math.isfinite(value)),
    ):
        kwargs: dict[str, Any] = {"required": 1, name: value}
        if is_within:
            assert getattr(Sample(**kwargs), name) == value
        else:
            with pytest.raises(ValueError, match=f"Sample.{name} must be"):
                Sample(**kwargs)


@pytest.mark.parametrize("value", [True, "1", None, 1j, [1], 2.5, 2.0])
def test_what_is_not_a_number_is_refused_even_where_it_compares_like_one(value: Any) -> None:
    with pytest.raises(ValueError, match="required must be a whole number >= 1, was"):
        Sample(required=value)


def test_a_refusal_names_the_bounds_and_the_value() -> None:
    with pytest.raises(ValueError, match=r"Sample.open must be a finite number > 0 and < 1, was 2"):
        Sample(required=1, open=2)
    with pytest.raises(ValueError, match=r"Sample.free must be a finite number, was nan"):
        Sample(required=1, free=math.nan)


def test_an_integer_beyond_every_float_is_refused_not_an_overflow() -> None:
    with pytest.raises(ValueError, match="closed"):
        Sample(required=1, closed=10**400)
    with pytest.raises(ValueError, match="required"):
        Sample(required=10**400)


def test_a_field_without_a_default_stays_required() -> None:
    with pytest.raises(TypeError, match="required"):
        Sample()  # type: ignore[call-arg]
    assert [f.name for f in fields(Sample) if "bounds" not in f.metadata] == ["word"]
