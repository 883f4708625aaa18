"""What an engine of the ingestion bench reports of one night."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one night of ingestion did.

    Attributes
    ----------
    rows_added
        Rows the store has more than before it.
    scores
        The quality score of each symbol.
    """

    seconds: float
    rows_added: int
    scores: dict[str, float]
