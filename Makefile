# Two commands are all that a fresh machine needs: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
SECONDS = 60
TARGET =
CLIENTS = 1.4.0 1.4.5 1.5.6 2.0.0

.PHONY: demo test ccxt clients cost fuzz lint types bench pcaps lock clean help

help:
	@echo "make demo    record simulated strategies live, and show their orders"
	@echo "make test    run the tests (as root, or with CAP_NET_RAW, also the live ones)"
	@echo "make fuzz    fuzz every parser, or TARGET=\"http websocket\", each for SECONDS=60"
	@echo "make clients reads a database with other versions of DuckDB, as CLIENTS=\"1.4.0 2.0.0\""
	@echo "make ccxt lint types bench pcaps lock clean"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("sniffer needs Python 3.11 or later; name one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" strategies/demo.sh $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -n 2 -m "not live" tests $(ARGS)
	$(BIN)/python -m pytest -n 2 -m live --dist loadgroup tests $(ARGS)

# Lets `make test` compare the decoders of exchanges with ccxt's parsers.
ccxt: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ccxt.lock

# Lets `make bench ARGS=cost` compare the sidecar with databases; their servers are Debian's, QuestDB's comes with Maven.
cost: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-cost.lock

# Clients of other versions, each in an environment of its own, and DuckDB's command line.
clients: $(READY)
	for version in $(CLIENTS); do \
		$(PYTHON) -m venv $(VENV)/clients/$$version && \
		$(VENV)/clients/$$version/bin/python -m pip install --quiet --disable-pip-version-check duckdb==$$version || exit 1; \
	done
	$(PYTHON) -m venv $(VENV)/clients/cli
	$(VENV)/clients/cli/bin/python -m pip install --quiet --disable-pip-version-check duckdb-cli
	SNIFFER_TEST_CLIENTS="$$(printf '$(CURDIR)/$(VENV)/clients/%s/bin/python:' $(CLIENTS))$(CURDIR)/$(VENV)/clients/cli/bin/duckdb" \
		SNIFFER_TEST_OPENS=1000 $(BIN)/python -m pytest tests/live/test_store_clients.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m bench $(ARGS)

# Not among the development tools: only this needs it.
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/requirements.txt
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(TARGET)

pcaps: $(READY)
	$(BIN)/python -m pcaps.make
	$(BIN)/python -m pcaps.demo.record

# The lock is what CI and the targets above install: exact versions with hashes, for every Python from 3.11 on.
lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra scapy --extra metrics --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --group pyproject.toml:ccxt -c requirements.lock -o requirements-ccxt.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --group pyproject.toml:cost -c requirements.lock -o requirements-cost.lock

clean:
	rm -rf $(VENV) .demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
