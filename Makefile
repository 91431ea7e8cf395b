# The two commands a newcomer needs are `make demo` and `make test`; each makes its own environment first.
# The environments are kept and are only rebuilt when pyproject.toml or requirements/ change.

PYTHON ?= python3
BIN := .venv/bin
V3 := .venv-v3/bin
PARALLEL := -n 2 --dist loadfile
export OMP_WAIT_POLICY = PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test lint types unit acceptance docs bench clean

demo: .venv/demo
	$(BIN)/python examples/demo.py

test: lint types unit acceptance

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test
	$(BIN)/mypy

unit: .venv/test
	$(BIN)/python -m pytest $(PARALLEL) -m "not acceptance"

acceptance: .venv/test .venv-v3/installed
	$(BIN)/python -m pytest $(PARALLEL) -m acceptance

docs: .venv/test
	$(BIN)/python -m wildsage.docs

bench: .venv/test
	$(BIN)/python -m benchmarks

.venv/demo: pyproject.toml requirements/demo.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements/demo.txt
	touch $@

.venv/test: .venv/demo requirements/test.txt
	$(BIN)/pip install -q -r requirements/test.txt
	touch $@

.venv-v3/installed: requirements/sdk-v3.txt
	$(PYTHON) -m venv .venv-v3
	$(V3)/pip install -q -r requirements/sdk-v3.txt
	touch $@

clean:
	rm -rf .venv .venv-v3 build dist .mypy_cache .ruff_cache .pytest_cache
