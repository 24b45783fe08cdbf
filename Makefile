# `make` alone prints the targets. Everything runs in .venv, which `make setup` makes from hash-pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help:  ## print this list
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: setup
setup:  ## make .venv with everything for running, testing and changing jobsvc
	@$(PYTHON) tools/make_venv.py dev

.PHONY: setup-runtime
setup-runtime:
	@$(PYTHON) tools/make_venv.py runtime

.PHONY: demo
demo: setup-runtime  ## start everything, run a batch over real data with a live bar, print the answer, stop everything
	@$(BIN)/python -m jobsvc.samples.demo

.PHONY: lock
lock:  ## pin requirements/*.in again, with hashes
	@for name in setup runtime dev proto; do \
	  (cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --no-emit-index-url --no-emit-find-links $$name.in --output-file $$name.txt) || exit 1; \
	done
