# Both of the README's commands set themselves up in .venv; they need Python 3.11 or later and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow check clean

demo: $(VENV)/.installed  ## find wrong labels in the embedded digits, compare the methods on them; reports in runs/
	$(BIN)/untrain run mislabel-digits
	$(BIN)/untrain run digits

test: check  ## linter, type checker, tests
	$(BIN)/python -m pytest -n auto

test-slow: $(VENV)/.installed-dev  ## long checks as well: many kills, timings
	$(BIN)/python -m pytest -m "slow or not slow"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
