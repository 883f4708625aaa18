"""Equal values have one text and one hash, on any machine, in any process."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instgov_dagster.governance.audit import (
    array_sha256,
    canonical_json,
    frame_sha256,
    inputs_hash,
    sha256_of,
)
from instgov_dagster.vocabulary.governance import Decision
from instgov_dagster.vocabulary.reasons import ReasonCode


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A dataclass whose fields are not in alphabetical order."""

    weight: float
    code: ReasonCode


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.sampled_from(ReasonCode),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (1e-7, "1e-07"),
        (-0.0, "-0.0"),
        (math.nan, '"NaN"'),
        ((math.inf, -math.inf), '["Infinity","-Infinity"]'),
        (np.float64(0.1), "0.1"),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (np.bool_(True), "true"),  # noqa: FBT003  # the case itself
        (np.array([[1.5, np.nan]]), '[[1.5,"NaN"]]'),
        (np.datetime64("2024-03-04"), '"2024-03-04"'),
        (np.datetime64("2024-03-04T05:06:07", "s"), '"2024-03-04T05:06:07.000000+00:00"'),
        (np.datetime64("NaT"), "null"),
        (Decimal("1.500"), '"1.5"'),
        (Decimal("-0.00"), '"0"'),
        (Decimal("1E+3"), '"1000"'),
        (date(2024, 3, 4), '"2024-03-04"'),
        (
            datetime(2024, 3, 4, 6, tzinfo=timezone(timedelta(hours=1))),
            '"2024-03-04T05:00:00.000000+00:00"',
        ),
        (timedelta(seconds=1), '"PT1000000us"'),
        (Decision.EXECUTE, '"EXECUTE"'),
        ({ReasonCode.ALLOCATED: 1, date(2024, 1, 2): 2, 3: 4}, None),
        ({"b", "a"}, '["a","b"]'),
        (b"\x00\xff", '"00ff"'),
        ("é", '"\\u00e9"'),
        (
            Sample(weight=0.5, code=ReasonCode.ALLOCATED),
            '{"code":"ALLOCATED","weight":0.5}',
        ),
    ],
)
def test_each_kind_of_value_has_its_one_text(value: Any, text: str | None) -> None:
    wanted = text or '{"2024-01-02":2,"3":4,"ALLOCATED":1}'
    assert canonical_json(value) == wanted
    assert len(sha256_of(value)) == 64


@given(PLAIN)
def test_the_text_is_json_and_reading_it_back_gives_the_same_text(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_were_written_does_not_matter(
    value: dict[str, int], chance: Any
) -> None:
    items = list(value.items())
    chance.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-1, 1))
def test_floats_one_step_apart_have_two_texts(value: float, step: int) -> None:
    other = math.nextafter(value, math.copysign(math.inf, step)) if step else value
    same = math.copysign(1, value) == math.copysign(1, other) and value == other
    assert (canonical_json(value) == canonical_json(other)) == same
    assert float(json.loads(canonical_json(value))) == value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        datetime(2024, 1, 2),  # noqa: DTZ001  # the naive instant is the case
        Decimal("NaN"),
        {1.5: 1},
        {True: 1},
        {1: "a", "1": "b"},
        np.array([object()]),
        Sample,
        1j,
        [lambda: None],
    ],
)
def test_what_has_no_canonical_text_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


SCRIPT = """
import datetime, numpy as np, polars as pl
from instgov_dagster.governance.audit import frame_sha256, inputs_hash, sha256_of
codes = {"alpha", "beta", "gamma", "delta", "epsilon"}
frame = pl.DataFrame({"s": ["a", None, "b"], "x": [1.0, None, float("nan")], "l": [[1], [], None]})
print(sha256_of({"codes": codes, "n": {name: i for i, name in enumerate(sorted(codes))}}))
print(frame_sha256(frame))
print(inputs_hash({"frame": frame, "array": np.arange(6.0).reshape(2, 3), "codes": codes}))
"""


def test_hashes_are_the_same_in_every_process() -> None:
    answers = set()
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(  # our own interpreter and text
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        answers.add(run.stdout)
    assert len(answers) == 1
    assert [len(line) for line in answers.pop().split()] == [64, 64, 64]


def test_hashes_are_pinned_so_that_no_release_moves_them_unseen() -> None:
    frame = pl.DataFrame({"s": ["a", None, "b"], "x": [1.0, None, math.nan], "l": [[1], [], None]})
    assert sha256_of({"a": 1}) == (
        "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )
    assert frame_sha256(frame) == (
        "9b943d74a0a93d16dad10347ffc602965cf1ac0c888347c5e3d04427fde15450"
    )
    assert array_sha256(np.arange(3.0)) == (
        "74cc823074f391767449a0424e98c4cbcc49f7c74cd87d0769d1e8dc7599925e"
    )


def test_an_array_hashes_by_kind_shape_and_content_only() -> None:
    base = np.arange(6.0).reshape(2, 3)
    same = (base.copy(order="F"), base.astype(">f8"), np.arange(12.0)[::2].reshape(2, 3) / 2)
    assert {array_sha256(array) for array in same} == {array_sha256(base)}
    other = (base.ravel(), base.T, base.astype(np.float32), base.astype(np.int64))
    hashes = {array_sha256(array) for array in other}
    assert len(hashes | {array_sha256(base)}) == 5
    payload = np.frombuffer(np.uint64(0x7FF8000000000001).tobytes(), dtype=np.float64)
    assert array_sha256(payload) == array_sha256(np.array([np.nan]))
    with pytest.raises(TypeError, match="numbers or dates"):
        array_sha256(np.array(["a"]))


def test_the_inputs_of_a_decision_hash_by_name_and_content() -> None:
    parts = {"quotes": np.array([1.0, np.nan]), "night": pl.DataFrame({"a": [1]}), "late": False}
    reference = inputs_hash(parts)
    assert inputs_hash(dict(reversed(parts.items()))) == reference
    assert inputs_hash({**parts, "late": True}) != reference
    assert inputs_hash({**parts, "quotes": np.array([1.0, 2.0])}) != reference
    assert inputs_hash({**parts, "night": pl.DataFrame({"a": [2]})}) != reference
    assert inputs_hash({"q": parts["quotes"], **parts}) != reference


def test_an_instant_hashes_by_the_moment_and_not_by_the_zone_it_is_told_in() -> None:
    moment = datetime(2024, 3, 4, 5, tzinfo=UTC)
    assert sha256_of(moment) == sha256_of(moment.astimezone(timezone(timedelta(hours=9))))
