# The first run creates .venv and downloads the dependencies; it needs Python 3.11 or later.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
# What touches the libraries most directly: files, weights, networks, records and pages.
LOWEST_TESTS := tests/core tests/models tests/report tests/records/test_commitment.py tests/records/test_record.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow test-lowest check docs dist clean

demo: $(VENV)/.installed  ## wrong labels found, examples forgotten, methods compared; pages in demo/
	$(BIN)/untrain demo

test: check  ## linter, type checker, tests
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/.installed-dev  ## long checks as well: many kills, timings
	$(BIN)/python -m pytest -m "slow or not slow"

test-lowest: $(LOWEST)/.installed  ## a part of the tests with the lowest supported versions of the dependencies
	$(LOWEST)/bin/python -m pytest -n auto --dist worksteal -o filterwarnings=default $(LOWEST_TESTS)

docs: $(VENV)/.installed-docs  ## the documentation site, in docs/_build/html
	$(BIN)/python docs/build.py

dist: $(VENV)/.installed-dev  ## source archive and wheel, in dist/
	$(BIN)/python -m hatchling build

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

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --constraint constraints-lowest.txt --editable '.[hub,sign]' \
	  hypothesis pytest pytest-timeout pytest-xdist
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) dist docs/_build docs/reference .mypy_cache .ruff_cache .pytest_cache .hypothesis
