"""The measures against another library on real five-session returns."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from skfolio.measures import cvar as skfolio_cvar

from instgov_dagster.capital.cvar import cvar, cvar_rows
from instgov_dagster.capital.scenarios.returns import horizon_returns
from instgov_dagster.vocabulary.policy.capital import CVaRConfig

pytestmark = pytest.mark.roadmap("5.2", "TEST.5")


def test_skfolio_agrees_on_every_symbol_of_the_dev_bars(bars_dir: Path) -> None:
    bars = pl.read_parquet(bars_dir / "dev" / "bars.parquet", columns=["symbol", "date", "close"])
    judged = 0
    for _, rows in bars.sort("date").group_by("symbol"):
        prices = rows["close"].to_numpy().reshape(-1, 1)
        returns = horizon_returns(prices, sessions=5, config=CVaRConfig())[:, 0]
        returns = returns[np.isfinite(returns)]
        for level in (0.9, 0.95, 0.99):
            wanted = skfolio_cvar(returns, beta=level)
            assert cvar(-returns, confidence_level=level) == pytest.approx(wanted, abs=1e-12)
            many = cvar_rows(-returns[None, :], confidence_level=level)
            assert many[0] == pytest.approx(wanted, abs=1e-12)
        judged += 1
    assert judged > 50
