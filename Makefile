# `make serve` and `make test` need Python 3.10 or newer, make, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWMAN_VERSION := 6.2.1
# One process per core of a small machine. For part of the suite, starting them is not worth it.
IN_PARALLEL := --numprocesses=2 --dist=worksteal

.PHONY: help serve test coverage lint format schema loadtest faults schemathesis differential bench postman
.PHONY: install-dev package clean

help:
	@echo 'make serve        serve on port 3000, on an embedded PostgreSQL'
	@echo 'make test         run the whole suite'
	@echo 'make coverage     run the suite and report what it does not reach; details in htmlcov/'
	@echo 'make lint         check formatting, rules, types and SQL'
	@echo 'make format       format the code'
	@echo 'make schema       regenerate db/schema.sql and db/catalogue.json'
	@echo 'make loadtest     prove with Locust that nothing is oversold'
	@echo 'make faults       break what the service runs on, under load, and prove that nothing is lost'
	@echo 'make schemathesis fuzz the API: 20,000 requests generated from openapi.json'
	@echo 'make differential compare both HTTP servers over 10,000 generated requests'
	@echo 'make bench        measure throughput and latency (needs wrk)'
	@echo 'make postman      run the Postman collection (needs Node.js)'
	@echo 'make package      build the sdist and the wheel, install and try them'
	@echo 'make clean        remove everything that make created, except data'

serve: $(VENV)/.installed
	@$(BIN)/python -m api serve

test: $(VENV)/.installed-dev
	@echo 'Running the suite, against a PostgreSQL of its own.'
	@$(BIN)/python -m pytest $(or $(ARGS),$(IN_PARALLEL))

coverage: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest $(IN_PARALLEL) --cov --cov-report=html --cov-report=term:skip-covered $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
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

package:
	@PYTHON=$(PYTHON) .ci/package

clean:
	rm -rf $(VENV) node_modules build dist htmlcov .coverage* *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    loadtests/reports

node_modules/.bin/newman:
	@command -v npm >/dev/null || { \
	    echo 'Node.js and npm are missing. On Debian and Ubuntu: apt-get install nodejs npm' >&2; exit 1; }
	@echo 'Installing newman'
	@npm install --silent --no-save --no-package-lock --no-audit --no-fund newman@$(NEWMAN_VERSION)

# Each marker file records that its step is done, so that it is done only once.

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

# Which versions of setup.py's requirements to install: `pinned` is constraints.txt, `oldest` is
# constraints-oldest.txt, `newest` is whatever setup.py allows.
TORNADO ?= pinned
VERSIONS_pinned := -c constraints.txt
VERSIONS_oldest := -r constraints-oldest.txt
VERSIONS_newest := --upgrade tornado httptools

install-dev: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(VERSIONS_$(TORNADO)) -e .
	@touch $(VENV)/.installed $(VENV)/.installed-dev
