# Needs make, Python 3.10 to 3.13 as python3, and a package index. Everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALLED := $(VENV)/.installed
OLD_NUMPY := .cache/py310/.installed
TENSORRT_STUBS := .cache/tensorrt-stubs/.installed

# Without bytecode every start of PyTorch costs seconds more, and some machines forbid writing it.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test test-slow test-gpu bench zoo export-matrix engines sweep check check-style \
        check-types check-types-310 check-types-tensorrt check-imports check-extras clean

help:
	@echo "make demo       the whole road on real photographs, into runs/demo"
	@echo "make test       all tests that need neither a GPU nor minutes"
	@echo "make test-slow  the tests that need minutes"
	@echo "make test-gpu   the tests that need an NVIDIA GPU, its latency, every way there is, and training on it"
	@echo "make check      style, types, import rules, and what can be installed where"
	@echo "make bench      ratios against other programs, into tests/benchmarks/results"
	@echo "make zoo        docs/zoo.md: counts, latency and engines of every network"
	@echo "make export-matrix  docs/export-matrix.md: which classifiers of torchvision and timm export"
	@echo "make engines    docs/engines.md: engines of the zoo for three GPUs, without one"
	@echo "make sweep      docs/sweep.md: sixteen MobileNets trained, exported, measured, chosen"
	@echo "make clean      remove environments, caches and builds; runs/ stays"

demo: $(INSTALLED)
	$(BIN)/edgecnn demo

test: $(INSTALLED)
	$(BIN)/pytest

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

test-gpu: $(INSTALLED)
	$(BIN)/pytest -m gpu
	$(BIN)/python tests/benchmarks/gpu_latency.py
	$(BIN)/python tests/benchmarks/gpu_training.py

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/all.py

zoo: $(INSTALLED)
	$(BIN)/python tests/benchmarks/zoo.py

export-matrix: $(INSTALLED)
	$(BIN)/python tests/benchmarks/export_matrix.py

engines: $(INSTALLED)
	$(BIN)/python tests/benchmarks/engines.py

sweep: $(INSTALLED)
	$(BIN)/python tests/benchmarks/sweep_sixteen.py

check: check-style check-imports check-types check-types-310 check-types-tensorrt check-extras

check-style: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

check-imports: $(INSTALLED)
	$(BIN)/lint-imports --no-logo

check-types: $(INSTALLED)
	$(BIN)/mypy
	@if ls samples/*.py >/dev/null 2>&1; then echo "$(BIN)/mypy samples/*.py"; $(BIN)/mypy samples/*.py; fi

# JetPack 6 has Python 3.10, whose newest NumPy is 2.2: its type stubs are what code there meets.
check-types-310: $(INSTALLED) $(OLD_NUMPY)
	$(BIN)/mypy --config-file tests/packaging/mypy-3.10.ini

# Beside the environment and not in it: installed, they would make `import tensorrt` succeed.
check-types-tensorrt: $(INSTALLED) $(TENSORRT_STUBS)
	$(BIN)/mypy --config-file tests/packaging/mypy-tensorrt.ini

check-extras: $(INSTALLED)
	$(BIN)/python tests/packaging/resolve_extras.py

$(OLD_NUMPY): | $(INSTALLED)
	rm -rf $(@D)
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --python-version 3.10 \
	  --only-binary :all: --target $(@D) numpy==2.2.6
	touch $@

# Five lines of these stubs are no Python: `in` as a name, a default before none.
$(TENSORRT_STUBS): | $(INSTALLED)
	rm -rf $(@D)
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --target $(@D) \
	  tensorrt-stubs==10.13.0.35.1
	sed -i.bak -e 's/\([( ]\)in: list/\1in_: list/' -e 's/channel_axis: int)/channel_axis: int = 0)/' \
	  $(@D)/tensorrt_bindings/tensorrt.pyi
	touch $@

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# The TensorRT compiler is a step of its own: where it has no packages the rest must still install.
$(INSTALLED): pyproject.toml | $(UV)
	$(UV) pip install --python $(BIN)/python --compile-bytecode -e '.[dev]'
	@$(UV) pip install --python $(BIN)/python --compile-bytecode -e '.[tensorrt-rtx]' \
	  && $(BIN)/python -c 'import sys, importlib.util as u; sys.exit(not u.find_spec("tensorrt_rtx"))' \
	  || echo "no TensorRT compiler: tensorrt-rtx has no packages for this platform; the demo goes on without engines"
	touch $@

clean:
	rm -rf $(VENV) .venv-bench .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
