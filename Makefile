# Needs python3 >= 3.11 with pip, make and git; everything else comes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.stamp-run
DEV_READY := $(VENV)/.stamp-dev
FILE ?=
MAPPING ?=
PYTEST_ARGS ?=
SPEC_DIR ?= ../shared/bitrix24/spec

# Some hundred processes make a run of the tests: without byte code each compiles the project anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-postgresql fuzz test-long bench fmt lint types layers check spec-table sandbox-reference lock clean

help:
	@echo 'make demo                     the main job on a local portal, about two minutes after the set-up'
	@echo 'make demo FILE=f MAPPING=m    the same with a spreadsheet of your own'
	@echo 'make test                     the tests, about six minutes'
	@echo 'make test-postgresql          the store, gate, ledger and lanes on PostgreSQL, which a wheel brings'
	@echo 'make fuzz                     the readers under made-up files for about a minute'
	@echo 'make test-long                a hundred kills, every fault at three places; writes docs/reliability/'
	@echo 'make bench                    speed and memory, about an hour and a half; writes docs/benchmarks/ and docs/benchmarks.md'
	@echo 'make check                    what CI runs: lint types layers fuzz test-postgresql test'
	@echo 'make setup fmt lint types layers spec-table lock clean'

setup: $(DEV_READY)

# What runs the product. `pip --python` helps where the system's Python came without ensurepip.
$(RUN_READY): requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "b24sync needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo 'Setting up $(VENV) (once) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --without-pip $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m pip --python $(BIN)/python install -q pip
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/run.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV_READY): requirements/dev.lock $(RUN_READY)
	@echo 'Adding what the tests need ...'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/dev.lock
	@touch $@

demo: $(RUN_READY)
	@$(BIN)/python scripts/demo.py $(if $(FILE),--file "$(FILE)") $(if $(MAPPING),--mapping "$(MAPPING)")

test: $(DEV_READY)
	@$(BIN)/pytest -n 2 --dist worksteal -m 'not long and not postgresql' $(PYTEST_ARGS)

test-postgresql: $(DEV_READY)
	@$(BIN)/pytest -q -n 2 --dist worksteal -m 'postgresql and not long' tests/unit $(PYTEST_ARGS)

# So many examples last about a minute on two cores; hypothesis itself knows no budget of time.
fuzz: $(DEV_READY)
	@B24SYNC_FUZZ_EXAMPLES=2000 $(BIN)/pytest -q -n 2 --dist worksteal -m fuzz tests/unit/test_importing_fuzz.py $(PYTEST_ARGS)

test-long: $(DEV_READY)
	@$(BIN)/pytest -m long $(PYTEST_ARGS)

bench: $(DEV_READY)
	@$(BIN)/python -m scripts.bench

fmt: $(DEV_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_READY)
	$(BIN)/mypy

layers: $(DEV_READY)
	$(BIN)/lint-imports --no-logo --no-cache

check: lint types layers fuzz test-postgresql test

# The fact table that the sandbox checks calls against, from a folder of official method specs.
spec-table: $(DEV_READY)
	$(BIN)/python scripts/gen_spec.py "$(SPEC_DIR)" b24sync/sandbox/spec_facts.tsv

# The page of all methods, acts, states and switches of the sandbox.
sandbox-reference: $(DEV_READY)
	$(BIN)/python scripts/gen_sandbox_reference.py docs/sandbox-reference.md

lock: $(DEV_READY)
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --extra dev pyproject.toml -o requirements/dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header -c requirements/dev.lock pyproject.toml -o requirements/run.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info
