"""Institutional trading governance as Dagster software-defined assets."""

import os

# Sums of one thread of linear algebra and of several differ in their last bits, and an optimiser
# turns those into digits: what is decided may not depend on how many processors a machine has.
# Read when numpy and scipy are loaded, which neither our command nor Dagster does before this.
for _library in ("OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
os.environ.setdefault("VECLIB_MAXIMUM_THREADS", "1")
