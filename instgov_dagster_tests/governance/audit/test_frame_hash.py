"""The hash of a frame is of what it says, not of how it lies in memory."""

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from polars.testing.parametric import column, dataframes

from instgov_dagster.governance.audit import frame_sha256

NIGHT = pl.DataFrame(
    {
        "symbol": ["AAA", "BBB", None, ""],
        "mu": [0.01, None, math.nan, -0.0],
        "n": [1, 2, None, 4],
        "is_valid": [True, None, False, True],
        "asof": [date(2024, 3, 4), None, date(2024, 3, 5), date(1969, 1, 1)],
        "codes": [["A", "B"], [], None, [None]],
        "money": [Decimal("1.50"), None, Decimal("0.00"), Decimal("-2.25")],
        "nested": [[[1.0], []], [None], None, []],
        "pair": [{"a": 1, "b": "x"}, {"a": None, "b": None}, None, {"a": 2, "b": ""}],
        "raw": [b"\x00", b"", None, b"\xff"],
    }
)
FRAMES = dataframes(
    cols=[
        column("s", dtype=pl.String, allow_null=True),
        column("x", dtype=pl.Float64, allow_null=True),
        column("n", dtype=pl.Int32, allow_null=True),
        column("b", dtype=pl.Boolean, allow_null=True),
        column("t", dtype=pl.Datetime("us"), allow_null=True),
        column("l", dtype=pl.List(pl.Int8), allow_null=True),
    ],
    max_size=6,
)


@given(FRAMES)
def test_chunks_slices_and_the_order_of_columns_do_not_matter(frame: pl.DataFrame) -> None:
    reference = frame_sha256(frame)
    half = frame.height // 2
    parts = [frame.slice(0, half), frame.slice(half)]
    assert frame_sha256(pl.concat(parts, rechunk=False)) == reference
    padded = pl.concat([frame, frame, frame]).slice(frame.height, frame.height)
    assert frame_sha256(padded) == reference
    assert frame_sha256(frame.select(sorted(frame.columns, reverse=True))) == reference
    assert frame_sha256(pl.from_arrow(frame.to_arrow())) == reference  # type: ignore[arg-type]


@given(FRAMES, FRAMES)
def test_two_frames_have_one_hash_exactly_where_they_are_equal(
    first: pl.DataFrame, second: pl.DataFrame
) -> None:
    # polars holds 0.0 and -0.0 equal; the hash keeps the bits, so the sign is compared as well.
    def with_sign(frame: pl.DataFrame) -> pl.DataFrame:
        text = pl.col("x").fill_nan(None).cast(pl.String).str.starts_with("-")
        return frame.with_columns(sign=text)

    is_equal = with_sign(first).equals(with_sign(second))
    assert (frame_sha256(first) == frame_sha256(second)) == is_equal


CHANGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a value": lambda f: f.with_columns(mu=pl.when(pl.col("n") == 1).then(0.02).otherwise("mu")),
    "a null becomes NaN": lambda f: f.with_columns(pl.col("mu").fill_null(math.nan)),
    "a NaN becomes null": lambda f: f.with_columns(pl.col("mu").fill_nan(None)),
    "a null text becomes empty": lambda f: f.with_columns(pl.col("symbol").fill_null("")),
    "a null number becomes zero": lambda f: f.with_columns(pl.col("n").fill_null(0)),
    "a sign of zero": lambda f: f.with_columns(pl.col("mu").abs()),
    "an empty list becomes null": lambda f: f.with_columns(
        codes=pl.when(pl.col("codes").list.len() > 0).then("codes")
    ),
    "a list shifts by one": lambda f: f.with_columns(pl.col("codes").shift(1)),
    "the order of rows": lambda f: f.reverse(),
    "a row less": lambda f: f.head(3),
    "a name": lambda f: f.rename({"mu": "nu"}),
    "a column less": lambda f: f.drop("raw"),
    "a type": lambda f: f.with_columns(pl.col("n").cast(pl.Int32)),
    "a scale": lambda f: f.with_columns(pl.col("money").cast(pl.Decimal(38, 4))),
    "a nested value": lambda f: f.with_columns(pl.col("nested").list.reverse()),
    "a field": lambda f: f.with_columns(pl.col("pair").struct.rename_fields(["a", "c"])),
}


def test_every_change_of_content_or_schema_changes_the_hash() -> None:
    hashes = {name: frame_sha256(change(NIGHT)) for name, change in CHANGES.items()}
    hashes["unchanged"] = frame_sha256(NIGHT)
    assert len(set(hashes.values())) == len(hashes)


def test_what_lies_under_a_null_does_not_matter() -> None:
    masked = pl.DataFrame({"x": [1.0, 5.0, 3.0], "keep": [True, False, True]}).select(
        pl.when("keep").then("x").alias("x")
    )
    assert frame_sha256(masked) == frame_sha256(pl.DataFrame({"x": [1.0, None, 3.0]}))


@pytest.mark.parametrize("zone", ["Etc/UTC", "GMT", "Zulu"])
def test_the_names_of_utc_are_one_and_another_zone_is_another(zone: str) -> None:
    frame = pl.DataFrame({"t": [datetime(2024, 1, 2)]})  # noqa: DTZ001  # the zone follows
    utc = frame_sha256(frame.with_columns(pl.col("t").dt.replace_time_zone("UTC")))
    assert frame_sha256(frame.with_columns(pl.col("t").dt.replace_time_zone(zone))) == utc
    tokyo = frame_sha256(frame.with_columns(pl.col("t").dt.replace_time_zone("Asia/Tokyo")))
    assert len({utc, tokyo, frame_sha256(frame)}) == 3


def test_a_categorical_is_its_text() -> None:
    text = pl.DataFrame({"s": ["b", "a", None, "b"]})
    reference = frame_sha256(text)
    for dtype in (pl.Categorical(), pl.Enum(["a", "b"]), pl.Enum(["b", "a", "c"])):
        assert frame_sha256(text.cast({"s": dtype})) == reference


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("x", [time(1, 2), None]),
        pl.Series("x", [timedelta(seconds=1), None]),
        pl.Series("x", [[1, 2], None], dtype=pl.Array(pl.Int64, 2)),
        pl.Series("x", [None, None]),
        pl.Series("x", [1, None], dtype=pl.UInt64),
        pl.Series("x", [], dtype=pl.List(pl.String)),
        pl.Series("x", [], dtype=pl.String),
    ],
)
def test_every_kind_of_column_can_be_hashed_also_when_sliced(series: pl.Series) -> None:
    frame = pl.DataFrame([series])
    doubled = pl.concat([frame, frame]).slice(frame.height)
    assert frame_sha256(doubled) == frame_sha256(frame)
    assert len(frame_sha256(frame)) == 64


def test_a_frame_with_objects_is_refused() -> None:
    frame: Any = pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(TypeError, match="cannot be hashed: 'x'"):
        frame_sha256(frame)


def test_empty_frames_differ_by_their_schema_only() -> None:
    assert frame_sha256(NIGHT.clear()) == frame_sha256(NIGHT.head(0))
    assert frame_sha256(NIGHT.clear()) != frame_sha256(pl.DataFrame())
