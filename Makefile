# Works in a fresh clone, given make and Python 3.11 or newer. Everything is installed below .venv;
# `make clean` removes it.
#
#   make demo      the solar system example
#   make test      the test suite, but for the slow tests
#   make test-slow the slow tests
#   make lint      ruff, proselint and pyright
#   make format    let ruff rewrite the code
#   make stacks    the test suite on the newest supported versions; on the oldest, what may differ
#   make wheel     build sdist and wheel; run every page's code and every example from the wheel
#   make docs      build the documentation's site into site/
#   make bench     the benchmarks
#   make clean     remove environments, builds and caches
#
# Settings: PYTHON=python3.12   the interpreter to use, instead of the first suitable one
#           WORKERS=2           how many processes run the tests
#           PYTEST_ARGS=        more arguments for pytest, such as PYTEST_ARGS='-k quantity'

PYTHON  ?=
WORKERS ?= 2
VENV    := .venv
BIN     := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

# ready-X, or ready-_usr_bin_python3-X with PYTHON=/usr/bin/python3; see the last rule.
READY   := $(VENV)/ready$(if $(PYTHON),-$(subst :,_,$(subst /,_,$(PYTHON))))

FIND_PYTHON := PYTHON='$(PYTHON)' sh tools/find_python.sh
PYTEST      := -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-slow lint lint-ruff lint-format lint-prose lint-pyright format \
        stacks stacks-environments wheel docs bench clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(READY)-examples
	@echo '==> running examples/solar_system.py'
	@$(BIN)/python examples/solar_system.py

test: $(READY)-test
	@echo '==> running the tests in $(WORKERS) processes'
	@$(BIN)/python $(PYTEST) -m 'not slow'

test-slow: $(READY)-test
	@echo '==> running the slow tests in $(WORKERS) processes'
	@$(BIN)/python $(PYTEST) -m slow

lint: lint-ruff lint-format lint-prose lint-pyright

lint-ruff: $(READY)-lint
	@echo '==> ruff check'
	@$(BIN)/python -m ruff check .

lint-format: $(READY)-lint
	@echo '==> ruff format --check (to repair: make format)'
	@$(BIN)/python -m ruff format --check .

lint-prose: $(READY)-lint
	@echo '==> proselint'
	@$(BIN)/python tools/lint_prose.py

# pyright needs the libraries that tests and examples import, hence ready-test.
lint-pyright: $(READY)-test $(READY)-lint
	@echo '==> pyright'
	@$(BIN)/python -m pyright --pythonpath $(BIN)/python

format: $(READY)-lint
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

# SAME_AS=ENV: where a stack turns out to have just the versions in ENV, do not test it again.
stacks:
	@python=$$($(FIND_PYTHON)) && \
	  "$$python" tools/stacks.py $(if $(SAME_AS),--same-as $(SAME_AS)) -- $(PYTEST) -m 'not slow'

stacks-environments:
	@python=$$($(FIND_PYTHON)) && "$$python" tools/stacks.py --build

wheel:
	@python=$$($(FIND_PYTHON)) && "$$python" tools/check_wheel.py

# The pages' code is run by the tests; here a broken link or reference is an error.
docs: $(READY)-docs
	@echo '==> building site/'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(READY)-test
	@$(BIN)/python -m benchmarks --output docs/figures

clean:
	rm -rf $(VENV) .venvs build dist site .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment serves everything; ready-X says that it has what the extra X names, as of this
# pyproject.toml and the versions in tools/newest.txt. PYTHON= makes it anew if it is of another Python; without PYTHON=, it keeps the
# one it has.
$(READY)-%: pyproject.toml tools/newest.txt
	@python=$$($(FIND_PYTHON)) && \
	  "$$python" tools/setup_env.py $(VENV) --extras $* $(if $(PYTHON),--this-python)
	@touch $@
