# Each target creates .venv where it is missing. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt
export NO_ALBUMENTATIONS_UPDATE := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help install install-dev quickstart bench dist docs test test-all check lint types contract pytest constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tlkit needs Python 3.11 or newer; set PYTHON=python3.11")'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# torch first and alone: a looser range would pull gigabytes of CUDA packages on machines that hold a CPU build
$(VENV)/.quickstart: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing tlkit into $(VENV) (about a minute)"
	@$(PIP) torch torchvision
	@$(PIP) -e '.[quickstart]'
	@touch $@

$(VENV)/.dev: $(VENV)/.quickstart
	@echo "installing what the checks need"
	@$(PIP) -e '.[quickstart,openvino,docs,dev]'
	@touch $@

install: $(VENV)/.quickstart ## create .venv and install tlkit with what the quickstart needs

install-dev: $(VENV)/.dev ## the same, with what the checks need

quickstart: $(VENV)/.quickstart ## make sample data, fit, evaluate, audit, write a report: under a minute
	@$(BIN)/tlkit data sample occupations data/occupations --skew light_men
	@$(BIN)/tlkit fit recipes/quickstart.yaml --overwrite

test: lint types contract pytest ## everything that must be green: lint, types, import contract, doctests, tests

test-all: lint types contract $(VENV)/.dev ## the same with the long series: kills, several processes, whole recipes
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal

check: lint types contract ## the quick checks alone

lint: $(VENV)/.dev ## ruff: style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy --num-workers 2

contract: $(VENV)/.dev ## import-linter: who may import whom
	@$(BIN)/lint-imports

# Tests start Python processes; an empty PYTHONDONTWRITEBYTECODE lets them write and share their bytecode.
pytest: $(VENV)/.dev ## doctests and tests
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not series'

constraints: $(VENV)/.dev ## write the versions now installed to constraints.txt
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > constraints.new
	@mv constraints.new constraints.txt

bench: $(VENV)/.dev ## measure the audit: false alarms, power, coverage, speed (minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/audit_false_alarms.py
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/audit_speed.py

docs: $(VENV)/.dev ## build the documentation site into build/docs/html/: warnings are errors
	@OMP_NUM_THREADS=1 $(BIN)/python docs/site/build_site.py

dist: $(VENV)/.dev ## build the wheel and the source archive into dist/
	@rm -rf build dist
	@$(BIN)/python -m build --no-isolation
	@rm -rf build

clean: ## remove .venv and caches, never runs/ or data/
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
