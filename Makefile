# `make serve` and `make test` need Python 3.10 or newer, make, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWMAN_VERSION := 6.2.1
# One process for each core of a small machine. Starting them costs more than a part of the suite.
IN_PARALLEL := --numprocesses=2 --dist=worksteal

.PHONY: help serve test lint format schema loadtest faults schemathesis differential bench postman clean

help:
	@echo 'make serve        serve on port 3000, on an embedded PostgreSQL'
	@echo 'make test         run the whole suite'
	@echo 'make lint         check formatting, rules, types, migrations and procedures'
	@echo 'make format       format the code'
	@echo 'make schema       make db/schema.sql and db/catalogue.json anew'
	@echo 'make loadtest     prove with Locust that nothing is oversold'
	@echo 'make faults       kill, stop and cut what it runs on, and see that nothing is lost'
	@echo 'make schemathesis ask 20000 things made up from the document'
	@echo 'make differential ask both HTTP servers the same 10000 things'
	@echo 'make bench        measure how fast it is (needs wrk)'
	@echo 'make postman      run the Postman collection (needs Node.js)'
	@echo 'make clean        remove what make made, except data'

serve: $(VENV)/.installed
	@$(BIN)/python -m api serve

test: $(VENV)/.installed-dev
	@echo 'Running the suite, against a PostgreSQL of its own.'
	@$(BIN)/python -m pytest $(or $(ARGS),$(IN_PARALLEL))

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/squawk --config .squawk.toml $(filter-out %.rollback.sql,$(wildcard db/migrations/*.sql))
	$(BIN)/python -m pytest -q -rs tests/sql/test_plpgsql_check.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(VENV)/.installed
	$(BIN)/python -m db.dump

loadtest: $(VENV)/.installed-dev
	@$(BIN)/python -m loadtests.onsale $(ARGS)

faults: $(VENV)/.installed-dev
	@$(BIN)/python -m loadtests.faults $(ARGS)

schemathesis: $(VENV)/.installed-dev
	@$(BIN)/python -m loadtests.fuzz $(ARGS)

differential: $(VENV)/.installed-dev
	@$(BIN)/python -m loadtests.fuzz.differential $(ARGS)

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m loadtests.bench $(ARGS)

postman: $(VENV)/.installed-dev node_modules/.bin/newman
	@$(BIN)/python -m pytest tests/processes/test_postman.py

clean:
	rm -rf $(VENV) node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    loadtests/reports

node_modules/.bin/newman:
	@command -v npm >/dev/null || { \
	    echo 'Node.js and npm are missing. On Debian and Ubuntu: apt-get install nodejs npm' >&2; exit 1; }
	@echo 'Installing newman'
	@npm install --silent --no-save --no-package-lock --no-audit --no-fund newman@$(NEWMAN_VERSION)

# Each file marks that what is before it was done, so that it is done once.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	    echo 'Python 3.10 or newer is needed, as python3 or named: make serve PYTHON=python3.12' >&2; \
	    echo 'On Debian and Ubuntu: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo 'Preparing $(VENV)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.py pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'Installing the service into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo 'Installing what the tests need into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
