# Targets a newcomer needs: install, run, test. `make check` is what CI runs after the tests.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: install run test chaos lint types check lock bench clean

install: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sojourn needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

run: install
	$(VENV)/bin/sojourn up --demo

# Says whether the tests on Apache Kafka and S3Proxy run, and fetches their jars while nothing waits for them.
test: install
	$(VENV)/bin/python -m tests.jars
	$(VENV)/bin/python -m pytest

# Ten minutes in all, five for each broker. Its first line replays the schedule: SOJOURN_CHAOS_SEED=… make chaos
chaos: install
	$(VENV)/bin/python -m tests.jars
	SOJOURN_CHAOS_SECONDS=$${SOJOURN_CHAOS_SECONDS:-300} $(VENV)/bin/python -m pytest -q -s tests/chaos/test_oracle.py

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: install
	$(VENV)/bin/mypy

check: lint types

lock:
	$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info
