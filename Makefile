# Two commands matter: `make lab` opens the notebooks, `make test` checks the house.
# They need Python 3.11+ and nothing else; everything they install goes into .venv.

PYTHON ?= $(shell command -v python3 || command -v python)
PORT ?= 8888
# On small machines two BLAS threads were seven times slower than one.
export OPENBLAS_NUM_THREADS ?= 1

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=120
# Side by side, a file at a time: a notebook's cells stay in their order.
ASIDE := -n auto --maxprocesses=4 --dist=loadfile --benchmark-disable
SUITE := $(ASIDE) --ignore=tests/bench/test_speed.py $(NBVAL) tests backproplab \
  $(wildcard notebooks/*.ipynb)

.DEFAULT_GOAL := help
.PHONY: help lab test test-all bench fuzz lint format constraints clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

lab: .venv/.lab ## open JupyterLab on 00_start (PORT=8888, BROWSER=no on a server)
	$(BIN)/jupyter lab --port=$(PORT) \
	  --LabApp.default_url=/lab/tree/notebooks/00_start.ipynb \
	  $(if $(filter no,$(BROWSER)),--no-browser) \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

test: .venv/.test ## unit tests, doctests and notebooks; lists what it skipped and why
	$(PYTEST) $(SUITE)

test-all: .venv/.all ## the same with browser, MPI and oracles; nothing may be skipped
	@command -v chromium >/dev/null \
	  || $(BIN)/python -m playwright install chromium
	for n in 2 4; do MPIEXEC_TIMEOUT=300 $(BIN)/mpiexec -n $$n \
	  $(PYTEST) -p no:cacheprovider --everything -m mpi tests/mpi || exit 1; done
	$(PYTEST) --everything tests/browser
	$(PYTEST) --everything -m "not mpi and not browser" $(SUITE)

bench: .venv/.all ## speed and memory beside hand-written NumPy, PyTorch, JAX, ...
	$(PYTEST) -s tests/bench

fuzz: .venv/.test ## bad input, invented: SECONDS=600 each for parser, checks, formats, files
	$(foreach driver,$(wildcard tests/fuzz/fuzz_*.py),\
	  $(BIN)/python $(driver) --seconds $(or $(SECONDS),600) &&) true

lint: .venv/.test ## ruff and mypy, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.test ## ruff, mending what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: ## pin the newest releases anew (needs uv)
	uv pip compile --universal --python-version 3.11 --all-extras --upgrade \
	  --no-annotate --no-header --quiet --output-file constraints.txt pyproject.toml

clean: ## remove .venv, caches and artefacts
	rm -rf .venv .*_cache .hypothesis .benchmarks .coverage artefacts dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras: set-up runs again when its files change.
.venv/.lab: EXTRAS := lab
.venv/.test: EXTRAS := lab,test
.venv/.all: EXTRAS := lab,test,parallel,oracle,binder
.venv/.lab .venv/.test .venv/.all: pyproject.toml constraints.txt binder/overrides.json
	@echo "Setting up .venv with [$(EXTRAS)]; this takes a minute or more, once."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[$(EXTRAS)]'
	@mkdir -p .venv/share/jupyter/lab/settings
	@cp binder/overrides.json .venv/share/jupyter/lab/settings
	@touch $@
