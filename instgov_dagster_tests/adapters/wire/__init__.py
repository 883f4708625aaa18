"""Fakes of the providers on the loopback: they serve, they fail on demand, they remember."""
