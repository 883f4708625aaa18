"""The beliefs of every month's end on real bars, night after night, each on what was known."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from instgov_dagster.adapters.config import load_policy, load_universe
from instgov_dagster.adapters.markets.files import FilesMarket
from instgov_dagster.adapters.runtime.processes.spread import ProcessSpread
from instgov_dagster.bars.calendars import history_window, knowledge_instant
from instgov_dagster.bars.classify import found_classes
from instgov_dagster.bars.ingestion import stage_known_at
from instgov_dagster.beliefs.evaluation.trials import TRIALS_SCHEMA
from instgov_dagster.beliefs.models.garch_fit import SIGMA_FIT_SCHEMA
from instgov_dagster.loop.night import STEP_BY_NAME
from instgov_dagster.loop.steps.context import NightContext
from instgov_dagster.vocabulary.bars import Market
from instgov_dagster.vocabulary.reasons import ReasonCode
from instgov_dagster_tests.loop.homes import CONFIG, inputs_of_no_past

BELIEVED = (
    "data_quality", "price_history", "history_coverage", "data_governance", "regime_beliefs",
    "sigma_fits", "model_forecasts", "model_decay_metrics", "model_evaluation", "model_trials",
)  # fmt: skip
MONTHS = [(2023 + k // 12, 1 + k % 12) for k in range(23)]


def month_end(year: int, month: int) -> date:
    """The day after the month's last: its night knows the whole month."""
    return date(year + month // 12, month % 12 + 1, 1)


class Nights:
    """One market of files and what earlier nights left to later ones."""

    def __init__(self, bars: Path) -> None:
        self.market = FilesMarket(bars)
        self.policy = load_policy(CONFIG)
        self.universe = self.market.universe(load_universe(CONFIG))
        sigma = self.policy.models.forecast.sigma
        self.spread = ProcessSpread(parallel_from=2, workers=sigma.workers)
        self.fits = pl.DataFrame(schema=SIGMA_FIT_SCHEMA)
        self.trials = pl.DataFrame(schema=TRIALS_SCHEMA)

    def believe(self, asof: date) -> dict[str, pl.DataFrame]:
        """Run the night of a day up to what its models were worth."""
        start, end = history_window(asof, self.policy.history)
        names = tuple(entry.symbol for entry in self.universe.symbols)
        fetched = self.market.fetch(names, start, end, asof)
        context = NightContext(
            asof=asof,
            known_at=knowledge_instant(asof, self.policy.history),
            market=Market.FILES,
            universe=self.universe,
            policy=self.policy,
            entitled=frozenset(),
            spread=self.spread,
        )
        staged = stage_known_at(fetched.frame, self.policy.history)
        firsts = pl.DataFrame(
            {"symbol": names, "first_seen": [fetched.first_dates[name] for name in names]}
        )
        tables = {
            **inputs_of_no_past(),
            "bars": staged.filter(pl.col("known_at") <= context.known_at),
            "symbol_classes": found_classes(self.universe).join(firsts, on="symbol"),
            "previous_sigma_fits": self.fits,
            "previous_model_trials": self.trials,
        }
        for name in BELIEVED:
            step = STEP_BY_NAME[name]
            tables[name] = step.run({need: tables[need] for need in step.needs}, context)
        self.fits = pl.concat([self.fits, tables["sigma_fits"]])
        self.trials = pl.concat([self.trials, tables["model_trials"]])
        return tables


@pytest.mark.nightly
@pytest.mark.roadmap("6.3", "6.5", "7.2")
def test_the_beliefs_of_every_month_end_of_two_years_are_whole(bars_dir: Path) -> None:
    nights = Nights(bars_dir / "dev")
    for year, month in MONTHS:
        tables = nights.believe(month_end(year, month))
        assert tables["regime_beliefs"].height == 1
        forecasts = tables["model_forecasts"]
        assert forecasts.height == 6 * tables["data_governance"]["is_eligible"].sum()
        assert forecasts["mu"].is_finite().all()
        # of 54 searches three to six find no sound parameters on these bars, and each says so
        failed = tables["sigma_fits"].filter(pl.col("omega").is_null())
        assert tables["sigma_fits"].height == 54
        assert failed.height <= 6
        assert all(ReasonCode.SIGMA_FIT_FAILED in codes for codes in failed["reason_codes"])
        assert tables["model_decay_metrics"]["confidence"].is_between(0.0, 1.0).all()
    assert nights.trials["trial_number"].max() == 13
    scores = tables["model_evaluation"]
    assert scores.drop_nulls("value")["standard_error"].null_count() == 0
    # what is known of such models: none earns an out-of-sample R2 worth believing
    assert (scores.filter(pl.col("metric") == "oos_r2")["value"] < 0.01).all()


def test_the_beliefs_of_one_real_night_are_whole(bars_dir: Path) -> None:
    tables = Nights(bars_dir / "dev").believe(date(2024, 12, 6))
    assert tables["regime_beliefs"]["known_at"].to_list()[0].date() == date(2024, 12, 6)
    assert tables["sigma_fits"]["omega"].is_not_null().mean() > 0.9
    assert tables["model_decay_metrics"]["confidence"].max() > 0.99
