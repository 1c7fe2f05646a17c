# Everything runs in a virtual environment of its own, made on first use and brought up to date when a pin changes.
#
#   make demo       train on the embedded sample, report, tag a sentence
#   make test       the whole test suite
#   make check      format, lint, types, docstrings, doctests and tests: what a change has to pass
#
# Overridable: make demo PYTHON=python3.12 VENV=/somewhere/else PIP_FLAGS="--index-url …" PYTEST_FLAGS="-n 2 -k crf"

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
PYTEST_FLAGS ?=
DEMO ?= build/demo

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DELETE_ON_ERROR:
.PHONY: help venv demo test check format-check lint types docstrings format wheel clean

help:
	@sed -n 's/^#   \(make .*\)/\1/p' Makefile

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (torch is most of the download)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[dev,plots]'
	@touch $@

demo: $(READY)
	$(BIN)/seqkit tag train sample-ner --recipe sample-ner --output $(DEMO) --force
	$(BIN)/seqkit tag evaluate sample-ner --model $(DEMO) --split test
	echo "Jordan flew from Jordan to Paris with Paris Hilton on Monday." | $(BIN)/seqkit tag --model $(DEMO) --output-format inline

# Doctests are part of the suite: pytest collects them from the modules themselves.
test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: format-check lint types docstrings test

format-check: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

# Arguments, returns and yields by pydoclint; that every raised error is documented by ruff, because pydoclint would
# also refuse a documented error that a called function raises.
docstrings: $(READY)
	$(BIN)/pydoclint --quiet seqkit
	$(BIN)/ruff check --preview --select DOC501 seqkit

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
