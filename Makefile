# Every target makes what it needs; none needs a set-up step.

.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
IN_VENV := $(VENV)/bin
# 3.11 is tested, and has a wheel for everything: it comes first where there are several.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
# What running needs, and what testing adds; a stamp is older than its list only if that changed.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
# A process to each core, with servers of its own; one process where servers are named.
IN_PARALLEL = $(if $(DATABASE_URL)$(REDIS_URL),,-n logical --maxprocesses 4)

.PHONY: help up demo test chaos check bench simulate pictures screenshots lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(RUN) ## run the whole engine here until Ctrl-C
	@exec $(IN_VENV)/python manage.py up

demo: $(RUN) ## run ten orders through it, and stop
	@exec $(IN_VENV)/python manage.py demo

test: $(DEV) ## run the tests
	@$(IN_VENV)/python -m pytest $(IN_PARALLEL) $(ARGS)

chaos: $(DEV) ## kill, freeze, wipe and cut off everything under 3,000 orders
	@exec $(IN_VENV)/python -m tests.chaos $(ARGS)

check: $(DEV) ## lint, format, types, imports, migrations, deployment settings
	$(IN_VENV)/ruff check .
	$(IN_VENV)/ruff format --check .
	$(IN_VENV)/mypy
	$(IN_VENV)/lint-imports
	@# The triggers are compared in PostgreSQL's dialect; no server needs to answer for that.
	DATABASE_URL=postgresql://127.0.0.1:1/none LOG_LEVEL=CRITICAL \
		$(IN_VENV)/python -W ignore manage.py makemigrations --check --dry-run
	SECRET_KEY=$$($(IN_VENV)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		HTTPS=true DEBUG=false ALLOWED_HOSTS=engine.example \
		$(IN_VENV)/python manage.py check --deploy --fail-level WARNING

bench: $(DEV) ## measure throughput and latency
	@exec $(IN_VENV)/python -m benchmarks $(ARGS)

simulate: $(DEV) ## run 10,000 seeds of the deterministic simulation
	@exec $(IN_VENV)/python -m tests.simulation $(ARGS)

pictures: $(DEV) ## draw the simulated market for docs/market.md
	@$(IN_VENV)/python manage.py market --seed 1 --from 0 --slots 216000 --plot docs/market-day.png
	@$(IN_VENV)/python manage.py market --seed 1 --sizes --plot docs/market-sizes.png

screenshots: $(DEV) ## take pictures of every page into docs/screens
	@exec $(IN_VENV)/python -m tests.e2e.screenshots

lock: $(DEV) ## pin every package anew, from pyproject.toml
	$(call compile,requirements.txt,)
	$(call compile,requirements-embedded.txt,--extra embedded -c requirements.txt)
	$(call compile,requirements-dev.txt,--extra embedded --extra dev -c requirements-embedded.txt)

clean: ## remove the virtual environment and caches, keep the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis staticfiles
	find . -name __pycache__ -prune -exec rm -rf {} +

define compile
$(IN_VENV)/uv pip compile pyproject.toml $(2) --universal --python-version 3.11 --generate-hashes \
	--upgrade --no-emit-index-url --quiet --custom-compile-command 'make lock' -o $(1)
endef

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python is missing: install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old: install Python 3.11 or newer, or name one: make PYTHON=…" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements-embedded.txt | $(VENV)/bin/python
	@echo "Installing what $< pins"
	@$(IN_VENV)/python -m pip install --disable-pip-version-check --progress-bar off -r $<
	@touch $@

$(DEV): requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing what $< pins"
	@$(IN_VENV)/python -m pip install --disable-pip-version-check --progress-bar off -r $<
	@touch $(RUN) $@
