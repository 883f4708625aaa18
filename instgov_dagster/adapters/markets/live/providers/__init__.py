"""The providers of history and references, one module each."""
