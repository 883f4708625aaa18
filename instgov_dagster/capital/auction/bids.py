"""The bids of one auction as one struct of arrays; its rows are CapitalAuctionInput."""

import dataclasses
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instgov_dagster.vocabulary.bars import AssetClass
from instgov_dagster.vocabulary.capital import CapitalAuctionInput
from instgov_dagster.vocabulary.governance import StrategyLifecycle

#: The columns, which are the fields of one bid in their order.
BID_FIELDS: Final = tuple(field.name for field in dataclasses.fields(CapitalAuctionInput))

_BOUNDS: Final = MappingProxyType(
    {
        field.name: dict(field.metadata["bounds"])
        for field in dataclasses.fields(CapitalAuctionInput)
        if "bounds" in field.metadata
    }
)
_WHOLE: Final = ("history_days", "holding_period_days", "model_age_days")
_TEXTS: Final = ("symbol", "strategy_id")
_FLAG: Final = "autocorr_flip_detected"
_ENUMS: Final[MappingProxyType[str, type[StrEnum]]] = MappingProxyType(
    {"asset_class": AssetClass, "strategy_lifecycle_stage": StrategyLifecycle}
)
_COMPARE: Final = MappingProxyType(
    {"ge": np.greater_equal, "gt": np.greater, "le": np.less_equal, "lt": np.less}
)


def _refuse(column: str, row: int, wanted: str, value: object) -> ValueError:
    return ValueError(f"CapitalAuctionInput.{column} must be {wanted}, was {value!r} (row {row})")


def _check_numbers(column: str, values: NDArray[Any]) -> None:
    kinds = "iu" if column in _WHOLE else "iuf"
    if values.dtype.kind not in kinds:
        raise _refuse(column, 0, "int" if column in _WHOLE else "float", values[:1].tolist())
    holds = np.isfinite(values)
    for word, bound in _BOUNDS[column].items():
        holds &= _COMPARE[word](values, bound)
    if not holds.all():
        row = int(np.argmin(holds))
        raise _refuse(column, row, f"finite within {_BOUNDS[column]}", values[row].item())


def _check_words(column: str, values: NDArray[Any]) -> None:
    if values.dtype.kind != "U":
        raise _refuse(column, 0, "text", values[:1].tolist())
    known = _ENUMS.get(column)
    words = None if known is None else [member.value for member in known]
    holds = values != "" if words is None else np.isin(values, words)
    if not holds.all():
        row = int(np.argmin(holds))
        raise _refuse(
            column, row, "non-empty text" if known is None else known.__name__, values[row]
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BidTable:
    """Every bid of one auction, one array a field, each of shape ``(n_bids,)``.

    A row exists exactly where `CapitalAuctionInput` would: the bounds are read from it. A bid is
    one strategy on one symbol, so no pair occurs twice. The arrays are made read-only.

    Raises
    ------
    ValueError
        Naming the field, what it must be, the value and the row.
    """

    symbol: NDArray[np.str_]
    asset_class: NDArray[np.str_]
    mu: NDArray[np.float64]
    sigma: NDArray[np.float64]
    cvar_95: NDArray[np.float64]
    marginal_cvar: NDArray[np.float64]
    p_loss: NDArray[np.float64]
    data_quality_score: NDArray[np.float64]
    history_days: NDArray[np.int64]
    provider_confidence: NDArray[np.float64]
    adv_usd: NDArray[np.float64]
    liquidity_cost_bps: NDArray[np.float64]
    market_impact_bps: NDArray[np.float64]
    correlation_risk: NDArray[np.float64]
    sector_exposure: NDArray[np.float64]
    holding_period_days: NDArray[np.int64]
    time_decay_rate: NDArray[np.float64]
    model_age_days: NDArray[np.int64]
    rolling_forecast_error: NDArray[np.float64]
    autocorr_flip_detected: NDArray[np.bool_]
    strategy_id: NDArray[np.str_]
    strategy_lifecycle_stage: NDArray[np.str_]
    strategy_allocation_pct: NDArray[np.float64]
    _ids: tuple[str, ...] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        for column in BID_FIELDS:
            values = getattr(self, column)
            if values.shape != self.symbol.shape or values.ndim != 1:
                raise ValueError(
                    f"BidTable.{column} must have shape {self.symbol.shape}, was {values.shape}"
                )
            if column in _BOUNDS:
                _check_numbers(column, values)
            elif column == _FLAG:
                if values.dtype.kind != "b":
                    raise _refuse(column, 0, "bool", values[:1].tolist())
            else:
                _check_words(column, values)
            kept = values.copy()
            kept.setflags(write=False)
            object.__setattr__(self, column, kept)
        pairs = zip(self.strategy_id.tolist(), self.symbol.tolist(), strict=True)
        object.__setattr__(self, "_ids", tuple(f"{k}|{symbol}" for k, symbol in pairs))
        if len(set(self._ids)) != self.symbol.size:
            raise ValueError("BidTable must hold each pair of strategy and symbol once")

    def __len__(self) -> int:
        return int(self.symbol.size)

    @property
    def bid_ids(self) -> tuple[str, ...]:
        """The identity of each bid, ``strategy_id|symbol``."""
        return self._ids

    def row(self, j: int) -> CapitalAuctionInput:
        """View one bid as the dataclass it is."""
        values: dict[str, Any] = {column: getattr(self, column)[j].item() for column in BID_FIELDS}
        for column, kind in _ENUMS.items():
            values[column] = kind(values[column])
        return CapitalAuctionInput(**values)

    def take(self, rows: NDArray[np.intp]) -> "BidTable":
        """Keep some bids, in the order given."""
        return BidTable(**{column: getattr(self, column)[rows] for column in BID_FIELDS})

    def to_frame(self) -> pl.DataFrame:
        """Write the bids, one row each, in the order of `BID_FIELDS`."""
        return pl.DataFrame({column: getattr(self, column) for column in BID_FIELDS})

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "BidTable":
        """Read bids written by `to_frame`; further columns are left aside.

        Raises
        ------
        ValueError
            If a column is missing or a value is null, missing or impossible.
        """
        missing = [column for column in BID_FIELDS if column not in frame.columns]
        if missing:
            raise ValueError(f"bids must have the columns {missing}")
        empty = [column for column in BID_FIELDS if frame[column].null_count()]
        if empty:
            raise ValueError(f"bids must have a value in every row, null in {empty}")
        return cls(**{column: _to_array(column, frame[column]) for column in BID_FIELDS})

    @classmethod
    def from_rows(cls, rows: Sequence[CapitalAuctionInput]) -> "BidTable":
        """Stack bids into one table."""
        columns: Mapping[str, list[Any]] = {
            column: [getattr(row, column) for row in rows] for column in BID_FIELDS
        }
        return cls(**{name: _stack(name, values) for name, values in columns.items()})


def _to_array(column: str, series: pl.Series) -> NDArray[Any]:
    if column in _BOUNDS or column == _FLAG:
        return series.to_numpy()
    return np.array([str(value) for value in series.to_list()], dtype=np.str_)


def _stack(column: str, values: list[Any]) -> NDArray[Any]:
    if column in _WHOLE:
        return np.array(values, dtype=np.int64)
    if column in _BOUNDS:
        return np.array(values, dtype=np.float64)
    if column == _FLAG:
        return np.array(values, dtype=np.bool_)
    return np.array([str(value) for value in values], dtype=np.str_)
