# Two commands: `make run` does the main job, `make test` proves the tree. Needed: Python 3.11+, pip, make.
PYTHON  ?= python3
WORKERS ?= 2
ARGS    ?=
BIN     := .venv/bin
PIPQ    := --quiet --disable-pip-version-check
UV      := VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --quiet

export DAGSTER_DISABLE_TELEMETRY := 1
export OPENBLAS_NUM_THREADS ?= 1
# Half of a short command's time is compiling the libraries, where their bytecode may not be kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run dev test nightly test-matrix test-latest mutation check browser deployed lake sbom bench performance docs lock clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# A virtual environment with pip, or, where the system keeps ensurepip apart, one filled by the system's pip.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "instgov needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	@{ $(PYTHON) -m venv .venv && $(BIN)/python -m pip install $(PIPQ) uv; } >/dev/null 2>&1 \
	  || { $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install $(PIPQ) uv; }

.venv/.done: $(BIN)/uv pyproject.toml requirements.lock
	@$(UV) pip install --quiet --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --no-deps --editable .
	@touch $@

.venv/.dev: .venv/.done requirements-dev.lock
	@$(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.bench: .venv/.dev requirements-bench.lock
	@$(UV) pip install --quiet --require-hashes -r requirements-bench.lock
	@touch $@

.venv/.lake: .venv/.dev instgov_dagster_tests/adapters/lake/requirements.lock
	@$(UV) pip install --quiet --require-hashes -r instgov_dagster_tests/adapters/lake/requirements.lock
	@touch $@

run: .venv/.done  ## one night and one governed live session on the embedded market (SIMULATED)
	@$(BIN)/instgov run $(ARGS)

# The instance is dagster.yaml here; its relative folders resolve to data/dagster, where `instgov` keeps its own.
dev: export DAGSTER_HOME := $(CURDIR)
dev: .venv/.done  ## the Dagster UI on http://127.0.0.1:3000, on the same instance as `make run`
	@$(BIN)/dagster dev -w workspace.yaml $(ARGS)

test: .venv/.dev  ## the tests (minutes); INSTGOV_BARS_DIR adds those on real bars
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

nightly: .venv/.dev  ## the long tests, left out of `make test`
	@$(BIN)/python -m pytest -m nightly $(ARGS)

# Environments of their own below .venv, where nothing of the locked one is touched. An interpreter that is not there is
# said and left out. [tool.uv] holds duckdb to one version; here it is not asked.
PYTHONS ?= 3.11 3.12 3.13 3.14
DUCKDBS ?= 1.5.5 2.0.0
STORE   ?= instgov_dagster_tests/adapters/store
TOOLS   := pytest hypothesis pytest-randomly pytest-xdist

test-matrix: .venv/.dev  ## the store's tests on each interpreter and each duckdb that can be had
	@mkdir -p .venv/matrix; failed=0; \
	for python in $(PYTHONS); do \
	  $(BIN)/uv python find --no-config --no-python-downloads --quiet $$python >/dev/null 2>&1 \
	    || { echo "python $$python: cannot be had"; continue; }; \
	  for duckdb in $(DUCKDBS); do \
	    place=.venv/matrix/$$python-duckdb$$duckdb; rm -f $$place.log; \
	    { sed -n 's/^\([a-z].*==.*\) \\$$/\1/p' requirements-dev.lock | grep -v '^duckdb=='; echo "duckdb==$$duckdb"; } >$$place.txt; \
	    { $(BIN)/uv venv --no-config --no-python-downloads --quiet --clear --python $$python $$place \
	      && $(BIN)/uv pip install --no-config --quiet --python $$place/bin/python \
	        --constraint $$place.txt --editable . $(TOOLS) \
	      && $$place/bin/python -m pytest -q --no-header -n $(WORKERS) $(ARGS) $(STORE) >$$place.log 2>&1; } \
	      && verdict=passed || { verdict=FAILED; failed=1; }; \
	    echo "python $$python duckdb $$duckdb: $$verdict: $$(tail -1 $$place.log 2>/dev/null)"; \
	  done; \
	done; exit $$failed

test-latest: $(BIN)/uv  ## the tests on the newest dependencies that pyproject.toml allows
	@$(BIN)/uv venv --no-config --quiet --clear --python $(BIN)/python .venv/latest
	@$(BIN)/uv pip install --no-config --quiet --upgrade --python .venv/latest/bin/python --editable . --group dev
	@$(BIN)/uv pip freeze --no-config --python .venv/latest/bin/python --exclude-editable >.venv/latest.txt
	@.venv/latest/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

# mypy judges mutants as well, and mutmut looks for it on the path. `mutmut run` alone goes on where it stopped.
mutation: export PATH := $(CURDIR)/$(BIN):$(PATH)
mutation: .venv/.dev  ## mutate what [tool.mutmut] names and see whether the tests notice (hours)
	@rm -rf mutants
	@nice mutmut run --max-children $(WORKERS) $(ARGS)
	@python -m instgov_dagster_tests.repository.mutation

check: .venv/.dev  ## style, format, architecture, types, security; advisories where there is a network
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive instgov_dagster
	@$(BIN)/python -m instgov_dagster_tests.repository.security.advisories

deployed: .venv/.dev  ## the deployed instance as separate processes on a real Postgres: a night, two sessions, an end
	@$(BIN)/python -m pytest -m nightly instgov_dagster_tests/repository/deploy/test_deployed.py $(ARGS)

lake: .venv/.lake  ## the lake on a real Postgres: two writers at once, there and back, an object store
	@$(BIN)/python -m pytest -m "nightly or not nightly" instgov_dagster_tests/adapters/lake $(ARGS)

sbom: .venv/.dev  ## print the bill of materials of the runtime's lock (CycloneDX)
	@$(BIN)/python -m instgov_dagster_tests.repository.security.sbom

# Tests in a browser skip where either is missing. Neither is part of the product or of its locks.
browser: .venv/.dev  ## install what the tests in a browser need: Chromium by apt, axe-core by npm
	@command -v chromium >/dev/null || apt-get install -y -qq chromium >/dev/null
	@npm install --silent --no-save --no-audit --no-fund --prefix .venv/axe axe-core@4 >/dev/null

bench: .venv/.dev  ## every bench small; fails where a ratio to its peer fell (ten minutes)
	@$(BIN)/instgov bench all $(ARGS)

performance: .venv/.bench  ## measure the auction beside its peers and write docs/performance.md (half an hour)
	@$(BIN)/instgov bench auction --write docs/performance.md $(ARGS)

docs: .venv/.dev  ## write the generated pages again (roadmap, reasons, governance-rules)
	@$(BIN)/python -m instgov_dagster_tests.repository.roadmap

# Pins and hashes, no addresses, for every platform; what tests and benches need goes into locks of its own.
lock: $(BIN)/uv  ## compile the five locks again from pyproject.toml
	@$(COMPILE) --output-file requirements.lock
	@$(COMPILE) --group dev --output-file requirements-dev.lock
	@$(COMPILE) --extra deploy --extra lake --constraint requirements-dev.lock --output-file deploy/requirements.lock
	@$(COMPILE) --extra bench --constraint requirements-dev.lock --output-file requirements-bench.lock
	@$(COMPILE) --group store --constraint requirements-dev.lock --output-file instgov_dagster_tests/adapters/lake/requirements.lock

clean:  ## remove the environment and the caches; never data/
	@rm -rf .venv mutants .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
