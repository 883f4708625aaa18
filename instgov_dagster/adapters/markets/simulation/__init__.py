"""The simulated world: regimes, factors, candles, actions and the defects injected into them."""
