# make run    install everything into .venv and start a demonstration node on 127.0.0.1
# make test   every test, long ones at a stated smaller size
# make long   the sizes that the issues name
# make fuzz   fuzzing by coverage, SECONDS=120 in all
# make docs   docs/metrics.md and the dashboards, written anew
# make clients  installs what the interoperability tests call with, into .venv-clients
# make interop  those tests alone; they write docs/interop.md
# make peers  installs what the benches measure beside sipcore, into .venv-peers
# make bench  the benches, figures to standard output
PYTHON ?= python3
CONFIG ?=
DATA ?=
SECONDS ?= 120
PIP = .venv/bin/python -m pip --disable-pip-version-check

.PHONY: help setup run test long fuzz docs clients interop peers bench check lock clean
help:
	@sed -n 's/^# //p' Makefile

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sipcore needs Python 3.11 or later; set PYTHON=" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: setup
	@.venv/bin/python deploy/demo.py $(if $(CONFIG),--config '$(CONFIG)') $(if $(DATA),--data '$(DATA)')

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: setup check clients
	.venv/bin/python tests/run.py

long: setup clients
	.venv/bin/python tests/run.py --long

fuzz: .venv/.fuzz
	.venv/bin/python -m tests.fuzz $(SECONDS)

.venv/.fuzz: tests/fuzz/atheris.lock | setup
	$(PIP) install --quiet --require-hashes --only-binary :all: -r tests/fuzz/atheris.lock
	@touch $@

docs: setup
	.venv/bin/python docs/write.py
	.venv/bin/python -m deploy.dashboards

clients: .venv-clients/.installed

.venv-clients/.installed: tests/interop/clients.lock tests/interop/clients/package-lock.json | setup
	.venv/bin/python tests/run.py --install
	$(PYTHON) -m venv --clear .venv-clients
	.venv-clients/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
	    --only-binary :all: -r tests/interop/clients.lock
	cp tests/interop/clients/package.json tests/interop/clients/package-lock.json .venv-clients
	if command -v npm >/dev/null; then npm ci --prefix .venv-clients --ignore-scripts --no-audit --no-fund --silent; fi
	@touch $@

interop: setup clients
	.venv/bin/python -m pytest tests/interop -m matrix --write-interop

peers: .venv-peers/.installed

.venv-peers/.installed: bench/peers.lock | setup
	$(PYTHON) -m venv --clear .venv-peers
	$(PIP) wheel --quiet --require-hashes --no-deps --no-build-isolation -r bench/peers.lock -w .venv-peers/wheels
	.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet --no-index --no-deps .venv-peers/wheels/*.whl
	@touch $@

bench: setup peers
	.venv/bin/python -m bench all

# The lock holds the exact versions and hashes of everything, for every Python and platform.
lock: setup
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --extra test --extra bench pyproject.toml requirements.in -o requirements.lock --upgrade
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header bench/peers.in -o bench/peers.lock --upgrade
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header tests/fuzz/atheris.in -o tests/fuzz/atheris.lock --upgrade
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header tests/interop/clients.in -o tests/interop/clients.lock --upgrade

clean:
	rm -rf .venv .venv-clients .venv-peers build *.egg-info
