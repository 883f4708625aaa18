"""The predictive law against scipy: the tail by quadrature, the interval and the loss by cdf."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from instgov_dagster.beliefs.predictive import read_law, standard_law


@pytest.mark.roadmap("6.1", "6.5")
@pytest.mark.parametrize("dof", [2.5, 5.0, 30.0])
def test_the_tail_mean_is_the_integral_of_the_tail(dof: float) -> None:
    law = standard_law(dof)
    unit = np.sqrt((dof - 2) / dof)
    quantile = stats.t.ppf(0.95, dof)
    area, _ = integrate.quad(lambda x: x * stats.t.pdf(x, dof), quantile, np.inf, limit=500)
    assert law.cvar_95 == pytest.approx(unit * area / 0.05, rel=1e-8)


@pytest.mark.roadmap("6.5")
def test_with_many_degrees_of_freedom_the_law_is_the_normal_one() -> None:
    law = standard_law(100.0)
    assert law.cvar_95 == pytest.approx(2.0627, abs=0.03)
    assert law.half_width_95 == pytest.approx(1.96, abs=0.03)


@pytest.mark.roadmap("6.1", "6.5")
@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(1e-4, 0.5))
def test_loss_tail_and_interval_are_those_of_the_scaled_law(mu: float, sigma: float) -> None:
    law = standard_law(5.0)
    read = read_law(np.array([mu]), np.array([sigma]), law)
    theirs = stats.t(5.0, loc=mu, scale=sigma * np.sqrt(3 / 5))
    assert read.p_loss[0] == pytest.approx(theirs.cdf(0.0), abs=1e-12)
    assert read.lower_95[0] == pytest.approx(theirs.ppf(0.025), abs=1e-12)
    assert read.upper_95[0] == pytest.approx(theirs.ppf(0.975), abs=1e-12)
    assert read.cvar_95[0] > -theirs.ppf(0.05)
    assert theirs.std() == pytest.approx(sigma, rel=1e-12)


def test_no_forecast_reads_as_no_number() -> None:
    read = read_law(np.array([np.nan]), np.array([np.nan]), standard_law(5.0))
    assert all(np.isnan(part).all() for part in read)
