"""Institutional trading governance as Dagster software-defined assets."""

import os

# Sums of one BLAS thread and of several differ in their last bits, and an optimiser turns those
# into digits: what is decided may not depend on how many processors a machine has. It is read
# when numpy and scipy are loaded, which nothing does before this package.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
