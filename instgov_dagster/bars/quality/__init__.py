"""DATA_QUALITY_SCORE: the rows judged, the rules, and the score (roadmap 2.4, 2.5)."""

from instgov_dagster.bars.quality.score import QUALITY_SCHEMA, score_bars

__all__ = ["QUALITY_SCHEMA", "score_bars"]
