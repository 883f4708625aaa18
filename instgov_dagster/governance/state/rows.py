"""Causes and states as plain values and rows, there and back; nothing is judged here."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from instgov_dagster.governance.state.fold import fold_state, unknown_state
from instgov_dagster.vocabulary.governance import Cause, SystemState, SystemStateName
from instgov_dagster.vocabulary.reasons import ReasonCode


def cause_to_dict(cause: Cause) -> dict[str, Any]:
    """Write a cause as plain JSON values."""
    return {
        "state": cause.state.value,
        "reason_code": cause.reason_code.value,
        "detail": cause.detail,
        "symbols": list(cause.symbols),
    }


#: One row: the state's name and its causes as JSON.
STATE_FRAME = pl.Schema({"state": pl.String(), "causes": pl.String()})


def state_to_frame(state: SystemState) -> pl.DataFrame:
    """Lay a state out as its one row of `STATE_FRAME`."""
    return pl.DataFrame(
        {"state": [state.name.value], "causes": [causes_json(state)]}, schema=STATE_FRAME
    )


def state_from_frame(frame: pl.DataFrame) -> SystemState:
    """Read a state written by `state_to_frame`; what cannot be read is STOP_SYSTEM."""
    if frame.height != 1:
        return unknown_state(f"the state must be one row, was {frame.height}")
    name, text = frame["state"][0], frame["causes"][0]
    try:
        state = fold_state([cause_from_dict(row) for row in json.loads(text)])
    except (ValueError, KeyError, TypeError) as error:
        return unknown_state(f"the causes of the state cannot be read: {error}")
    if state.name.value != name:
        return unknown_state(f"the state says {name!r}, its causes {state.name.value}")
    return state


def cause_from_dict(data: Mapping[str, Any]) -> Cause:
    """Read a cause written by `cause_to_dict`.

    Raises
    ------
    ValueError, KeyError
        If the values are not those of a cause.
    """
    state = SystemStateName(data["state"])
    return Cause(
        state=state,
        reason_code=ReasonCode(data["reason_code"]),
        detail=data["detail"],
        symbols=tuple(data["symbols"]),
        is_latched=state.is_latched,
    )


def causes_json(state: SystemState) -> str:
    """Write the causes of a state as one JSON list."""
    return json.dumps([cause_to_dict(cause) for cause in state.causes], sort_keys=True)
