# The first run creates .venv and downloads the dependencies; it needs Python 3.11 or later.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
# What touches the libraries most directly: files, weights, networks, records and pages.
LOWEST_TESTS := tests/core tests/models tests/report tests/records/test_commitment.py tests/records/test_record.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test tests test-examples test-slow test-lowest check docs dist clean

demo: $(VENV)/.installed  ## wrong labels found, examples forgotten, methods compared; pages in demo/
	$(BIN)/untrain demo

test: $(VENV)/.installed-dev  ## linter, type checker and tests, side by side
	$(MAKE) --jobs=2 check tests

tests: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

test-examples: $(VENV)/.tried-examples  ## examples and tests with other libraries, as far as they can be installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m examples tests/test_examples.py
	$(BIN)/python -m pytest -n auto --dist worksteal tests/workflows/test_published.py

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

# Python compiles what the tests import when they run, which is a part of what is installed.
$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $(VENV)/.installed $@

# What cannot be installed is skipped by the tests. The extra `vision` is left out: a build for another torch breaks others.
$(VENV)/.tried-examples: $(VENV)/.installed-dev
	-$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[examples]'
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
