VENV ?= .venv
PY := $(VENV)/bin/python
ARGS ?=
ROUNDS ?= 3
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo setup check test coverage test-faults bench notebooks docs constraints clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-demo ## watch an agent be killed in the middle of a step and go on (ARGS="--seed 7")
	@$(VENV)/bin/session-bridge demo $(ARGS)

setup: $(VENV)/.stamp-dev ## make .venv with everything for development (PYTHON=python3.12 chooses the interpreter)

check: $(VENV)/.stamp-dev ## format, lint, types, import directions, a bare wheel; no servers needed
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright --warnings
	$(VENV)/bin/lint-imports --no-logo
	scripts/check-addresses.sh
	scripts/check-wheel.sh $(PY)

test: $(VENV)/.stamp-dev ## every test but the slow ones, on real servers (JOBS=0 ARGS="tests/unit -k name")
	$(PY) -m pytest -m "not slow" -n $(JOBS) --dist loadfile $(ARGS)

coverage: $(VENV)/.stamp-dev ## the same, counting which lines and branches they reach; fails below the bound in pyproject.toml
	$(PY) -m pytest --cov -m "not slow" -n $(JOBS) --dist loadfile $(ARGS)

test-faults: $(VENV)/.stamp-dev ## kill, cut and stop things, ROUNDS=3 times each
	LSB_FAULT_ROUNDS=$(ROUNDS) $(PY) -m pytest tests/faults tests/scale $(ARGS)

bench: $(VENV)/.stamp-dev ## run every benchmarks/*.py
	@set -e; for file in $(sort $(wildcard benchmarks/[a-z]*.py)); do echo "== $$file"; $(PY) "$$file" $(ARGS); done

notebooks: $(VENV)/.stamp-dev ## run every notebook from top to bottom
	$(PY) -m pytest --nbmake --nbmake-timeout=300 -o timeout=0 $(or $(sort $(wildcard notebooks/*.ipynb)),notebooks) $(ARGS)

docs: $(VENV)/.stamp-dev ## run the README's code, check its commands and links
	$(PY) -m pytest tests/docs $(ARGS)

constraints: ## pin the newest versions that pyproject.toml allows
	rm -rf build/pins && mkdir -p build
	python3 -m venv build/pins
	build/pins/bin/python -m pip install -qq --no-input --upgrade ".[all,dev]"
	build/pins/bin/python -m pip freeze --exclude langgraph-session-bridge \
	  | sed -nE 's/^([A-Za-z0-9._-]+)==([^ ;]+).*/\1==\2/p' | LC_ALL=C sort -f > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/pins

clean: ## remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.stamp-dev: pyproject.toml constraints.txt
	@scripts/install.sh $(VENV) all,dev
	@scripts/system-libraries.sh $(VENV)
	@touch $@ $(VENV)/.stamp-demo

$(VENV)/.stamp-demo: pyproject.toml constraints.txt
	@scripts/install.sh $(VENV) embedded,cli
	@scripts/system-libraries.sh $(VENV)
	@touch $@
