"""Years walked, which take minutes to hours: what a risk officer is promised of them."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from instgov_dagster.loop.proving.survival.run import survive
from instgov_dagster.loop.proving.survival.telling.answer import Answer, Question
from instgov_dagster.vocabulary.bars import Market

E_LIMIT = 20.0


def require_survived(answer: Answer) -> None:
    assert answer.gate_holds
    assert answer.parity is None or answer.parity.holds
    e_values = answer.governed["e_value"].drop_nulls()
    crossed = answer.governed.filter(pl.col("e_value") >= E_LIMIT)
    assert e_values.max() < E_LIMIT or crossed["halted_at"].is_not_null().all()
    measures = answer.measures["governed"]
    assert np.isfinite([measures.max_drawdown, measures.worst_5d_loss]).all()
    assert {"spy_buy_and_hold", "governance_off"} <= set(answer.measures)


@pytest.mark.nightly
def test_two_years_of_real_bars_are_survived_and_not_in_cash(bars_dir: Path) -> None:
    answer = survive(
        Question(
            market=Market.FILES,
            bars=bars_dir / "dev",
            start=date(2023, 1, 20),
            end=date(2024, 12, 5),
        ),
        environment={},
    )
    require_survived(answer)
    assert answer.fields()["gross_mean"] > 0.02


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_crisis_of_every_simulated_world_is_survived(seed: int, rules: Path) -> None:
    answer = survive(
        Question(
            market=Market.SIMULATED,
            seed=seed,
            start=date(2019, 7, 1),
            end=date(2020, 12, 31),
            config_dir=rules,
        ),
        environment={},
    )
    require_survived(answer)
