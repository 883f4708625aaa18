"""The numbers of the worked example in docs/cvar.md, computed and compared with the page."""

import numpy as np
import pytest

from instgov_dagster.capital.cvar import (
    book_losses,
    breach_scale,
    cvar,
    cvar_contributions,
    cvar_standard_error,
    delta_cvars,
    marginal_cvar,
    value_at_risk,
)
from instgov_dagster_tests.repository.roadmap import ROOT

pytestmark = pytest.mark.roadmap("DOC.5", "5.2", "5.3")
LEVEL = 0.9
WEIGHTS = np.array([0.5, 0.3, 0.2])


def page_rows() -> dict[str, list[str]]:
    """The rows of every table of the example, by their first cell."""
    text = (ROOT / "docs" / "cvar.md").read_text(encoding="utf-8")
    example = text.split("## Three assets by hand")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in example.splitlines() if line.startswith("| ")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


def scenarios(rows: dict[str, list[str]]) -> np.ndarray:
    returns = np.zeros((25, 3))
    for number in range(4):
        returns[number] = [float(cell) for cell in rows[str(number + 1)][:3]]
    return returns


def told(values: np.ndarray | list[float]) -> list[str]:
    return [f"{value:.4f}" for value in values]


def test_the_page_says_what_the_functions_compute() -> None:
    rows = page_rows()
    returns = scenarios(rows)
    losses = book_losses(returns, WEIGHTS)
    assert [rows[str(n + 1)][3] for n in range(4)] == told(losses[:4])
    number = cvar(losses, confidence_level=LEVEL)
    odds = np.full(25, 0.92 / 24)
    odds[0] = 0.08
    wanted = {
        "CVaR": number,
        "value at risk": value_at_risk(losses, confidence_level=LEVEL),
        "the shortcut": float(np.sort(losses)[-3:].mean()),
        "standard error, as if the scenarios did not overlap": cvar_standard_error(
            losses, confidence_level=LEVEL, overlap_sessions=1
        ),
        "CVaR, scenario 1 with probability 0.08 and the others alike": cvar(
            losses, confidence_level=LEVEL, probabilities=odds
        ),
        "k = 0.06 / (2.5 x CVaR), without a stress set": breach_scale(2.5 * number, 0.06),
    }
    assert {name: rows[name][0] for name in wanted} == {
        name: f"{value:.4f}" for name, value in wanted.items()
    }


def test_the_page_says_the_marginals_of_the_three_assets() -> None:
    rows = page_rows()
    returns = scenarios(rows)
    losses = book_losses(returns, WEIGHTS)
    parts = cvar_contributions(returns, WEIGHTS, confidence_level=LEVEL)
    deltas = delta_cvars(returns, losses, np.arange(3), WEIGHTS, confidence_level=LEVEL)
    slopes = marginal_cvar(returns, WEIGHTS, confidence_level=LEVEL)
    assert rows["`marginal_cvar`"][:3] == told(slopes)
    assert rows["`cvar_contribution`"] == [*told(parts), f"{parts.sum():.4f}"]
    assert rows["`delta_cvar`"][:3] == told(deltas)
    assert parts.sum() == pytest.approx(cvar(losses, confidence_level=LEVEL), abs=1e-15)
