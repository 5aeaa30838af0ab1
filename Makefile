# make run    install everything into .venv and start a demonstration node on 127.0.0.1
# make test   every test, long ones at a stated smaller size
# make long   the sizes that the issues name
# make bench  the benches, figures to standard output
PYTHON ?= python3
CONFIG ?=
DATA ?=
PIP = .venv/bin/python -m pip --disable-pip-version-check

.PHONY: help setup run test long bench check lock clean
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

test: setup check
	.venv/bin/python tests/run.py

long: setup
	.venv/bin/python tests/run.py --long

bench: setup
	.venv/bin/python -m bench all

# The lock holds the exact versions and hashes of everything, for every Python and platform.
lock: setup
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --extra test pyproject.toml requirements.in -o requirements.lock --upgrade

clean:
	rm -rf .venv build *.egg-info
