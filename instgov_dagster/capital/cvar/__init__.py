"""CVaR, its marginals and its standard error; no limits live here."""

from instgov_dagster.capital.cvar.errors import breach_scale, cvar_standard_error
from instgov_dagster.capital.cvar.marginals import (
    book_losses,
    cvar_contributions,
    delta_cvar,
    delta_cvars,
    marginal_and_rising_cvar,
    marginal_cvar,
    rising_cvar,
)
from instgov_dagster.capital.cvar.tail import cvar, cvar_rows, tail_weights, value_at_risk

__all__ = [
    "book_losses",
    "breach_scale",
    "cvar",
    "cvar_contributions",
    "cvar_rows",
    "cvar_standard_error",
    "delta_cvar",
    "delta_cvars",
    "marginal_and_rising_cvar",
    "marginal_cvar",
    "rising_cvar",
    "tail_weights",
    "value_at_risk",
]
