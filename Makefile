# Every target sets up what it needs: a virtual environment in the tree, with locked dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help run demo test faults check docs format bench lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidegate needs Python 3.11 or newer")'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(READY)  ## start Tidegate with the sample shop on this machine
	@$(BIN)/python -m examples.shop.run

demo: $(READY)  ## play the story unattended: healthy, broken, alert, gate closed, repaired, gate open
	@$(BIN)/python -m examples.shop.demo

docs: $(READY)  ## renew the pages that are made from the code
	$(BIN)/python -m tools.settings_docs
	$(BIN)/python -m tools.commands_docs

check: $(READY)  ## lint, types, import contracts, chart and docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=daemon $(BIN)/lint-imports
	$(BIN)/python -m tools.settings_docs --check
	$(BIN)/python -m tools.commands_docs --check
	$(BIN)/python -m pytest -q tests/chart tests/deploy tests/test_docs.py

test: check  ## everything: the checks above, then the whole test suite
	$(BIN)/python -m pytest -n $(JOBS)

faults: $(READY)  ## print what becomes of log lines in every fault (docs/delivery.md)
	@$(BIN)/python -m tests.faults

format: $(READY)  ## let ruff format and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the benchmarks, each against a named peer
	@set -e; for b in benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python $$b; done

lock:  ## renew the locked dependencies (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --all-extras -c requirements.lock pyproject.toml -o requirements-extras.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --all-extras --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:  ## remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache data .demo
