# Everything from a fresh clone: `make run` gives the result, `make test` the proof.
PYTHON ?= python3
LOCK ?= requirements.lock
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/$(LOCK).ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := true

.PHONY: help run test docs examples check check-all check-gpu lock
help:           ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14

run: $(READY)   ## build the environment and run the pipeline that params.yaml describes
	pipeline run

test: $(READY)  ## build the environment and run the tests
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/requirements-check.lock.ready  ## lint, types and the slower tests
	ruff check .
	ruff format --check .
	mypy pipeline
	python -m pytest -q -m slow -n 2 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/requirements-check.lock.ready  ## build the documentation as a site: open site/index.html
	NO_COLOR=1 zensical build --strict --clean

examples: $(READY)  ## run every example and print what came of it
	python benchmarks/examples.py

check-all: check  ## all checks, and the benchmarks behind docs/performance.md
	for file in data_stages noop first_repro quality preprocessing data training leakage tuning tracking gate predict serving monitoring monitoring_story; do python benchmarks/$$file.py || exit 1; done

check-gpu: $(READY)  ## what needs a GPU: its tests, every example, speed; writes docs/gpu.md (with LOCK=requirements-gpu.lock)
	python -m pytest -q -m gpu
	python benchmarks/gpu.py

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade
lock: $(READY)  ## resolve pyproject.toml anew into the hash-pinned locks
	$(COMPILE) pyproject.toml --extra test --extra build -o requirements.lock
	$(COMPILE) pyproject.toml --extra check -c requirements.lock -o requirements-check.lock
	$(COMPILE) pyproject.toml --extra gpu --extra test --extra build -c requirements.lock -o requirements-gpu.lock
	echo uv | $(COMPILE) - -c requirements.lock -o requirements-uv.lock

# The environment: uv, fetched into the venv by its hash, installs the lock.  The stamp makes a second call free.
# Where Python may not keep what it compiles (as in many containers), it is compiled here: else each process would, for 10 s.
COMPILED := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
$(READY): $(LOCK) requirements-uv.lock pyproject.toml
	@echo "building $(VENV) from $(LOCK)"
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and f"Python 3.11 to 3.13 is needed, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@rm -f $(VENV)/*.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --quiet $(COMPILED) $(LOCK)
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --offline --quiet -e .
	@touch $@

$(VENV)/requirements-check.lock.ready: $(READY) requirements-check.lock
	@echo "adding the tools of make check"
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --quiet $(COMPILED) -r requirements-check.lock
	@command -v postgres /usr/lib/postgresql/*/bin/postgres >/dev/null || apt-get install -y -qq postgresql >/dev/null 2>&1 || echo "no PostgreSQL server and no way to install one: its tests are skipped"
	@command -v chromium chromium-browser google-chrome >/dev/null || apt-get install -y -qq chromium >/dev/null 2>&1 || echo "no Chromium and no way to install one: its tests are skipped"
	@touch $@
