# make demo: everything from nothing to a trained, measured, exported model. make help: all targets.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PY := $(BIN)/python
QUIETLY := --quiet --disable-pip-version-check -c constraints.txt
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# where it is set, every process of thousands of files would compile them again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env demo where test tests test-fast faults lint docs clean

help: ## list the targets
	@grep -E '^[a-z_-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(VENV)/installed ## create the environment (VENV=DIR to put it elsewhere)

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or newer is needed, $(PYTHON) is {sys.version.split()[0]}; set PYTHON=python3.12 or such" if sys.version_info < (3, 11) else 0)'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install $(QUIETLY) --upgrade pip
	$(PY) -m pip install $(QUIETLY) --no-compile -e '.[dev]' # what is imported is compiled then
	@touch $@

demo: env ## scenes, CLOC and its CLIP twin, evaluation, export, report; stopped, it goes on
	$(PY) -m cloc demo

# two encodings and one seed, in a folder of its own
QUICKLY := pages=[encoders] out=runs/where_quick cells=runs/where_quick/cells seeds=[0] chosen=[learned,rope_axial] words=[steps=200] val=200 pairs=[20,8]

where: env ## objectives by position encodings, one page; does what is missing (QUICK=1: eight small cells)
	$(PY) -m cloc where $(if $(QUICK),$(QUICKLY),cells=docs/where)

lint: env ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-fast: env ## about a minute: objectives, boxes, samples, commands, layout
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m 'not slow and not rare and not dist' \
		tests/losses tests/heads tests/data/samples tests/cli/test_help.py tests/cli/test_main.py tests/test_*.py \
		--ignore tests/test_pages.py --ignore tests/test_wheel.py

tests: env
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

test: env ## everything CI runs
	@$(MAKE) --no-print-directory -j 2 lint tests # on 2 cores: a third of the time of tests is waiting

faults: env ## the long fault suites and tests, then one table of what they found: over an hour on 2 cores
	$(PY) -m tests.faults $(SUITES)

docs: env ## the pages of docs/ in a browser, at localhost:8000
	$(PY) -m mkdocs serve

clean: ## remove the environment and what the demo wrote
	rm -rf $(VENV) runs/demo runs/demo_clip data/scenes
