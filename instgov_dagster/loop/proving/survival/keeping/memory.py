"""What one day of a walk hands to the next: book, lives, vetoes, forecasts, evidence, state."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import polars as pl

from instgov_dagster.bars.calendars import history_window
from instgov_dagster.governance.lifecycle import LIFECYCLE_SCHEMA
from instgov_dagster.governance.state.rows import state_to_frame
from instgov_dagster.governance.veto.rows import CLEAR_SCHEMA, VETO_SCHEMA
from instgov_dagster.loop.decision.book import Book, book_to_frame, fresh_book
from instgov_dagster.loop.folding.attribution import STRATEGY_RETURNS
from instgov_dagster.loop.folding.evidence import ACCOUNT_SCHEMA, FILL_SCHEMA, PASSIVE_SCHEMA
from instgov_dagster.loop.night import FOUND_BY_STEPS
from instgov_dagster.loop.proving.survival.keeping.standing import Standing
from instgov_dagster.loop.proving.survival.knowing.nights import Learnt, nothing_learnt
from instgov_dagster.loop.steps.context import Tables
from instgov_dagster.loop.steps.coverage import FORECAST_SCHEMA
from instgov_dagster.vocabulary.policy.bars import HistoryPolicy

PAST_FORECASTS: Final = pl.Schema({"asof": pl.Date(), **FORECAST_SCHEMA})
#: The tables a memory holds, by the name of the night's input they become.
MEMORY_TABLES: Final = {
    "previous_lifecycle": LIFECYCLE_SCHEMA,
    "previous_vetoes": VETO_SCHEMA,
    "past_risk_forecasts": PAST_FORECASTS,
    "strategy_returns": STRATEGY_RETURNS,
    "session_accounts": ACCOUNT_SCHEMA,
    "recorded_fills": FILL_SCHEMA,
    "passive_orders": PASSIVE_SCHEMA,
}
# Older than this no rule of the night looks at fills; a year more than the longest window.
_FILLS_KEPT: Final = timedelta(days=730)


@dataclass(slots=True)
class Memory:
    """Everything a walk carries.

    Attributes
    ----------
    tables
        `MEMORY_TABLES`: what earlier nights and sessions left.
    values
        Value of each strategy's holdings at the end of the last session, USD.
    flows, income
        By strategy, USD: what moved between sessions and belongs to the next one's result; of it
        what dividends paid.
    marks
        The last price of each symbol the walk has seen.
    absent
        Sessions without a bar in a row, by symbol that had one.
    removed
        Symbols that have left the universe by the operator's policy.
    halted
        Sessions in a row in a latched state.
    learnt
        Fitted parameters and counted trials.
    """

    book: Book
    tables: dict[str, pl.DataFrame] = field(
        default_factory=lambda: {n: pl.DataFrame(schema=s) for n, s in MEMORY_TABLES.items()}
    )
    values: dict[str, float] = field(default_factory=dict)
    flows: dict[str, float] = field(default_factory=dict)
    income: dict[str, float] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    halted: int = 0
    learnt: Learnt = field(default_factory=nothing_learnt)
    standing: Standing = field(default_factory=Standing)

    def inputs(self, learnt: Learnt) -> Tables:
        """Give what a night is told beside its bars: the inputs a home would freeze.

        Parameters
        ----------
        learnt
            As it stood before the night.
        """
        return {
            **self.tables,
            "previous_sigma_fits": learnt.fits,
            "previous_model_trials": learnt.trials,
            "veto_clears": pl.DataFrame(schema=CLEAR_SCHEMA),
            "portfolio": book_to_frame(self.book),
            "system_state": state_to_frame(self.standing.before_night(FOUND_BY_STEPS)),
        }

    def remember(self, name: str, frame: pl.DataFrame) -> None:
        """Take the place of a table with what a night made."""
        self.tables[name] = frame

    def add(self, name: str, rows: pl.DataFrame | Iterable[Any]) -> None:
        """Append rows to a table."""
        schema = MEMORY_TABLES[name]
        more = (
            rows.select(list(schema)).cast(schema)
            if isinstance(rows, pl.DataFrame)
            else pl.DataFrame(list(rows), schema=schema, orient="row")
        )
        if more.height:
            self.tables[name] = pl.concat([self.tables[name], more], rechunk=True)

    def forget(self, day: date, policy: HistoryPolicy) -> None:
        """Drop what no night from a day on can read any more: it lies before every window."""
        start, _ = history_window(day, policy)
        self.tables["past_risk_forecasts"] = self.tables["past_risk_forecasts"].filter(
            pl.col("session") >= start
        )
        for name in ("recorded_fills", "passive_orders"):
            self.tables[name] = self.tables[name].filter(pl.col("date") >= day - _FILLS_KEPT)
        fits = self.learnt.fits.filter(pl.col("fitted_session") >= start)
        self.learnt = Learnt(fits=fits, trials=self.learnt.trials)


def fresh_memory(nav_usd: float) -> Memory:
    """Begin as a fresh home does: all cash, nothing known, nothing raised."""
    return Memory(book=fresh_book(nav_usd))
