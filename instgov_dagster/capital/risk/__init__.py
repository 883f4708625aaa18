"""The risk gates and the judgement of a whole proposal by them (phase 5)."""

from instgov_dagster.capital.risk.judge import judge_book
from instgov_dagster.capital.risk.proposal import (
    BOOK,
    VERDICT_SCHEMA,
    BookProposal,
    BookVerdict,
    OrderVerdict,
)

__all__ = [
    "BOOK",
    "VERDICT_SCHEMA",
    "BookProposal",
    "BookVerdict",
    "OrderVerdict",
    "judge_book",
]
