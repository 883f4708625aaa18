"""The trials ledger: every variant of a model that was ever evaluated, counted once."""

import hashlib
import json
from dataclasses import asdict
from datetime import date
from typing import Any

import polars as pl

from instgov_dagster.beliefs.models import MODELS
from instgov_dagster.vocabulary.policy.beliefs import ForecastPolicy, RegimePolicy

TRIALS_SCHEMA = pl.Schema(
    {
        "variant_sha256": pl.String(),
        "family": pl.String(),
        "model_id": pl.String(),
        "parameters": pl.String(),
        "first_evaluated": pl.Date(),
        "trial_number": pl.Int64(),
    }
)
REGIME_ID = "regime_filter"


def _field(policy: ForecastPolicy, path: str) -> Any:
    value: Any = policy
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _variant(family: str, model_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(parameters, sort_keys=True)
    digest = hashlib.sha256(f"{family}/{model_id}/{text}".encode()).hexdigest()
    return {
        "variant_sha256": digest,
        "family": family,
        "model_id": model_id,
        "parameters": text,
    }


def record_trials(
    known: pl.DataFrame, *, forecast: ForecastPolicy, regime: RegimePolicy, evaluated: date
) -> pl.DataFrame:
    """List the variants evaluated tonight that never were before, numbered on from the last.

    Parameters
    ----------
    known
        ``TRIALS_SCHEMA``, every trial of earlier nights.
    forecast, regime
        The rules of tonight: a changed parameter makes a new variant.
    evaluated
        The last session of tonight's evaluation.

    Returns
    -------
    ``TRIALS_SCHEMA``, only what is new. What a search on this data finds must be judged against
    the number of trials (Bailey and Lopez de Prado 2014, Journal of Portfolio Management 40).
    """
    variants = [
        _variant(
            card.family.value,
            card.model_id,
            {name: _field(forecast, name) for name in card.parameters},
        )
        for card in MODELS.values()
    ]
    variants.append(_variant("regime", REGIME_ID, asdict(regime)))
    seen = set(known["variant_sha256"].to_list())
    count = len(seen)
    fresh = sorted(
        (row for row in variants if row["variant_sha256"] not in seen),
        key=lambda row: (row["family"], row["model_id"]),
    )
    rows = [
        {**row, "first_evaluated": evaluated, "trial_number": count + k}
        for k, row in enumerate(fresh, start=1)
    ]
    return pl.DataFrame(rows, schema=TRIALS_SCHEMA)
