# Everything from a fresh clone: `make run` gives the result, `make test` the proof.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := true

.PHONY: help run test check check-gpu lock clean

help:           ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

run: $(READY)   ## build the environment and run the pipeline on params.yaml
	pipeline run

test: $(READY)  ## build the environment and run the tests
	python -m pytest -q

check: $(VENV)/ready-check  ## lint, types and the slower checks (adds their tools to the environment)
	ruff check pipeline tests benchmarks examples
	ruff format --check pipeline tests benchmarks examples
	mypy pipeline
	python -m pytest -q -m slow

check-gpu: $(READY)  ## the checks that need a GPU
	python -m pytest -q -m gpu

lock: $(READY)  ## resolve pyproject.toml anew into the hash-pinned locks
	uv pip compile pyproject.toml --extra test --extra build $(COMPILE) -o requirements.lock
	uv pip compile pyproject.toml --extra check $(COMPILE) -c requirements.lock -o requirements-check.lock
	uv pip compile pyproject.toml --extra gpu --extra test --extra build $(COMPILE) -c requirements.lock -o requirements-gpu.lock
	printf 'uv\n' | uv pip compile - $(COMPILE) -c requirements.lock -o requirements-uv.lock
COMPILE := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade

clean:          ## remove what runs made, keep the environment and .state (runs, studies, registry)
	rm -rf data/raw data/clean data/split data/normalized models
	dvc gc --workspace --force --quiet 2>/dev/null || true

# The environment: uv, fetched into the venv by its hash, installs the lock; the stamp makes a second call free.
LOCK ?= requirements.lock
$(READY): $(LOCK) requirements-uv.lock pyproject.toml
	@echo "== building $(VENV) from $(LOCK)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --quiet $(LOCK)
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --offline --quiet -e .
	@touch $@

$(VENV)/ready-check: $(READY) requirements-check.lock
	@echo "== adding the tools of make check"
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --quiet -r requirements-check.lock
	@touch $@
