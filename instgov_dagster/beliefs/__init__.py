"""Beliefs: what the bars say about regimes, returns and the models that forecast them."""
