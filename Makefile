# make demo: set up, reconstruct the shipped phantom cells with the shipped weights, say where the results are.
# make test: set up, run the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NATIVE := CMakeLists.txt setup.py $(wildcard csrc/*.h csrc/*.cpp csrc/kernels/*)

.PHONY: demo test test-gpu bench-gpu lint format clean

demo: $(READY)
	@$(BIN)/dispr demo demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile

# On a machine with a GPU and nvcc; GPU_PYTHON=python3 takes that Python and its torch as they are.
GPU_PYTHON ?= $(BIN)/python
GPU_READY := $(if $(filter $(BIN)/python,$(GPU_PYTHON)),$(READY))

test-gpu: $(GPU_READY)
	PYTHON=$(GPU_PYTHON) .ci/kernels gpu

bench-gpu: $(GPU_READY)
	PYTHON=$(GPU_PYTHON) .ci/kernels gpu-bench

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit("dispr needs Python 3.11 or newer; call: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing dispr and what it needs into $(VENV) (the first time this takes minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	@touch $(READY)

clean:
	rm -rf $(VENV) build demo
