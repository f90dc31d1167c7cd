# Two commands for newcomers: `make demo` and `make test`. Each makes .venv and installs what it needs.

PYTHON ?= python3
WORKERS ?= 4
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help install demo test test-all fast check types rules format docs screenshots bench constraints clean

help:
	@echo "make demo    the whole life of a line in a simulated world, and a factory to open in the console"
	@echo "make test    the tests that a change must pass: all but those that live in worlds or break a store in many ways, for minutes"
	@echo "make test-all  all tests; of these and those of make test, TESTS=EXPRESSION chooses, as pytest -m, and EXAMPLES=N limits"
	@echo "make fast    the unit tests"
	@echo "make check   format, lint, types, import contracts, fresh reference pages, old words, the site"
	@echo "make docs    write the reference pages anew and build the site in site/"
	@echo "make screenshots  pictures of every page of the console, in screenshots/"
	@echo "make bench   print the benchmark tables"
	@echo "make install make .venv and run nothing"

install: $(READY)

# uv where it can be had, else pip, which is slower. Both compile: else each command would, where Python may not write.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.version_info >= (3, 14))' \
		|| { echo "Linewright needs Python 3.11 to 3.13; say which: make PYTHON=python3.11 ..."; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[test,docs]'; \
	elif $(BIN)/python -m pip --disable-pip-version-check install --quiet uv 2>/dev/null; then \
		$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[test,docs]'; \
	else \
		$(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --editable '.[test,docs]'; \
	fi
	@$(BIN)/python -m compileall -q src
	@touch $@

demo: $(READY)
	@$(BIN)/linewright demo

# pytest keeps what it made of the test files; tests/support/prepared.py makes it before, else each worker does, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE

# A file's tests stay in one worker, so that the model that they share is trained once; slow files come first (tests/conftest.py).
# What changed since the installation is compiled: the tests start some hundred processes.
PYTEST := $(BIN)/python -m compileall -q src && $(BIN)/python tests/support/prepared.py && $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

# Tables of tests are small: for those, handing work between threads costs polars more than it gains.
test test-all fast: export POLARS_MAX_THREADS := 1

# More workers than there are usually processors: some tests wait for a clock, a deadline or another process. Where three workers shared
# two processors, those were idle for an eighth of the time. A worker takes about 1 GB of memory.
# tests/support/tiers.py says what is nightly, and what is unit: those start no process, listen nowhere, do not wait and fit no model.
# A law is tried on at most EXAMPLES; without `--most-examples` on as many as it says.
test: TESTS := not (nightly and slow)
test: EXAMPLES := 20
test-all: TESTS :=
test-all: EXAMPLES := 50
fast: TESTS := unit
fast: EXAMPLES := 5
fast: WORKERS := 2
test test-all fast: $(READY)
	@$(PYTEST) -n $(WORKERS) -m '$(TESTS)' --most-examples $(EXAMPLES)

check: $(READY)
	@$(MAKE) --no-print-directory -j 2 types rules

types: $(READY)
	@$(BIN)/pyright --warnings

rules: $(READY)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports
	@$(BIN)/python docs/reference.py --check
	@$(BIN)/python docs/map.py --check
	@$(BIN)/python docs/licences.py --check
	@$(BIN)/python docs/dialect.py --check
	@$(BIN)/python docs/console_texts.py --check
	@$(BIN)/mkdocs build --strict

format: $(READY)
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

docs: $(READY)
	@$(BIN)/python docs/reference.py
	@$(BIN)/python docs/map.py
	@$(BIN)/python docs/licences.py
	@$(BIN)/python docs/dialect.py
	@$(BIN)/python docs/console_texts.py
	@$(BIN)/mkdocs build --strict
	@echo "open site/index.html; to search, serve it: $(BIN)/python -m http.server --directory site 8090"

# Needs Chromium: apt-get install chromium.
screenshots: $(READY)
	@$(BIN)/python docs/screenshots.py

bench: $(READY)
	@$(BIN)/python benchmarks/footprint.py
	@$(BIN)/python benchmarks/kill.py --boundaries

constraints: $(READY)
	@$(BIN)/python -m pip --disable-pip-version-check freeze --exclude-editable | sort --ignore-case > constraints.txt

clean:
	rm -rf .venv demo-factory* .pytest_cache .ruff_cache .hypothesis .import_linter_cache
