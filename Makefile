# Every target makes the virtual environment it needs: a machine with Python >= 3.11 and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= dev

.PHONY: setup demo test test-quick test-optimized test-release fuzz lint docs parity bench accelerator-check techniques \
	ablation torch clean

setup: $(VENV)/.$(EXTRAS)

$(VENV)/.$(EXTRAS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(sys.version_info < (3, 11) and "jaxgan needs Python >= 3.11, but $(PYTHON) is " + v + ": use make PYTHON=python3.12, say.")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

demo: setup
	$(BIN)/python -m jaxgan.main --config=configs/mnist.py --workdir=runs/mnist
	@echo "The digits are in $$(ls runs/mnist/samples/*.png | tail -1), the learning curves in runs/mnist/curves.png."

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not release"

# What to run while working: the tests that take less than a second each.
test-quick: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not release"

# The steps and layers as users run them, with all of XLA's optimizations.
test-optimized: setup
	JAXGAN_TEST_OPTIMIZED=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not release" tests/steps tests/nn tests/devices

# How the doctor's thresholds and the experiments were made: before a release.
test-release: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m release

# 2,000 configurations, 500 damaged workdirs and 300 inputs: each is accepted, or refused in words.
fuzz: setup
	JAXGAN_FUZZ=1 JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 $(BIN)/python -m pytest -q -s tests/fuzz

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site is in docs/_build/html. Nothing is downloaded but packages, and a warning is an error.
docs: setup
	$(BIN)/python -c 'import myst_parser, sphinx_book_theme' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

parity: setup torch
	$(BIN)/python -m benchmarks.parity.run

bench: setup torch
	$(BIN)/python -m benchmarks.speed.run

# On a machine with a GPU or TPU; on a CPU in a small setting.
accelerator-check: setup
	$(BIN)/python -m benchmarks.cost.accelerator_check

techniques: setup
	$(BIN)/python -m benchmarks.experiments.techniques --write

ablation: setup
	$(BIN)/python -m benchmarks.experiments.ablation

# Pinned, because a range could pull in gigabytes of CUDA.
torch: setup
	@$(BIN)/python -c 'import importlib.util as u; raise SystemExit(not u.find_spec("torch"))' || \
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; \
	then $(BIN)/python -m pip install --quiet torch==2.13.0; \
	else echo "No PyTorch here: $(BIN)/python -m pip install torch --index-url https://download.pytorch.org/whl/cpu"; exit 1; fi

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
