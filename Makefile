# Two commands are enough: `make demo` and `make test`. Both install into .venv first. While you work:
# `make check`, which has the same checks and only the tests of what differs from main.
#
# The CPU build of PyTorch is installed. For the CUDA build: make TORCH_BUILD=cuda demo
TORCH_BUILD ?= cpu
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# On Linux the package index's own torch is the CUDA build, elsewhere it is the CPU build.
ifeq ($(TORCH_BUILD)-$(shell uname -s),cpu-Linux)
TORCH := torch==2.13.0+cpu
else
TORCH := torch
endif

demo: $(VENV)/installed
	$(BIN)/marey demo

# The tests load marey in hundreds of processes, each of which would compile it again: a second each.
test check: export PYTHONDONTWRITEBYTECODE =

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not browser and not gpu and not long"

check: lint
	$(BIN)/python -m pytest -n 2 --changed -m "not slow and not browser and not gpu and not long"

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed-dev
	$(BIN)/python docs/build.py build/docs
	@echo "build/docs/html/index.html"

test-browser: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m browser

test-long: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m long

test-gpu: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m gpu

# What a GPU makes of it, in at most 8 minutes and without a network, by whichever Python there is:
# PYTHON=python3 where torch and marey's dependencies are installed already.
bench-gpu:
	PYTHONPATH=. $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu --json build/gpu.json

$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	@echo "$(TORCH) into $(VENV): some minutes where it has to be fetched"
	@$(PIP) "$(TORCH)" || { echo; \
	  echo "The CPU build of PyTorch is not in your package index. Either set PIP_EXTRA_INDEX_URL"; \
	  echo "to the CPU address that pytorch.org/get-started shows, or take the CUDA build:"; \
	  echo "    make TORCH_BUILD=cuda $(MAKECMDGOALS)"; exit 1; }
	touch $@

$(VENV)/installed: $(VENV)/torch pyproject.toml constraints.txt
	@echo "marey and what it needs into $(VENV)"
	$(PIP) --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/torch pyproject.toml constraints.txt
	@echo "marey and what its tests need into $(VENV): some minutes"
	$(PIP) --editable ".[dev]"
	touch $@ $(VENV)/installed

.PHONY: demo test check lint docs test-browser test-long test-gpu bench-gpu
