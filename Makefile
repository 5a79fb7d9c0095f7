# Everything a person does here. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
# Whatever the caller's configuration says, this checkout is the collections path.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help venv demo lab lint test bench clean

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

venv: $(VENV)/.installed ## The virtual environment, from pinned requirements
$(VENV)/.installed: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed and $(PYTHON) is older: run make PYTHON=python3.12" >&2; exit 1; }
	@echo "making the virtual environment (.venv), once"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

demo: venv ## The main job, end to end, on a lab on loopback
	@python -m lab.demo

lab: venv ## The lab alone: prints its addresses, ends with Ctrl-C
	@python -m lab.up

lint: venv ## ruff, mypy, yamllint, ansible-lint, shellcheck, schemas
	@python -m pytest -q tests/project/test_lint.py

test: venv ## lint, unit tests, integration, molecule, replays; the last line counts them
	@python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder tests

bench: venv ## Speed, side by side with what people use today (ARGS=--write: into docs/bench.md)
	@python -m bench $(ARGS)

clean: ## Remove what make made
	rm -rf $(VENV) .venv-bench .lab .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible
