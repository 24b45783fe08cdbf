# `make` alone prints the targets. Everything runs in .venv, which `make setup` makes from hash-pinned requirements.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=
PIP_COMPILE := ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help:  ## print this list
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: setup
setup:  ## make .venv, with all that running, testing and changing jobsvc needs
	@$(PYTHON) tools/make_venv.py dev

.PHONY: setup-runtime
setup-runtime:
	@$(PYTHON) tools/make_venv.py runtime

.PHONY: demo
demo: setup-runtime  ## start everything, run a batch over real data with a live bar, stop everything
	@$(BIN)/python -m jobsvc.samples.demo

.PHONY: notebook
notebook: setup  ## open the first notebook in JupyterLab, with `jobsvc dev` running beside it
	@$(BIN)/python tools/notebook.py notebooks/01_first_batch.ipynb

.PHONY: test
test: setup  ## run every test; PYTEST_ARGS='-k word' chooses
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

.PHONY: test-long
test-long: setup  ## make 100,000 random moves in Redis and in the reference model, and compare
	@HISTORY_STEPS=100000 $(BIN)/python -m pytest -s tests/store/test_history.py

.PHONY: check
check: setup check-code check-proto test  ## what CI runs: lint, types, layers, contract, generated code, then every test

.PHONY: check-code
check-code: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: check-proto
check-proto: setup
	@$(PYTHON) tools/make_venv.py proto
	$(BIN)/buf lint proto
	$(BIN)/buf format --diff --exit-code proto
	$(BIN)/buf breaking proto --against proto/image.binpb
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT \
	  && PATH="$(CURDIR)/.venv-proto/bin:$$PATH" .venv-proto/bin/python tools/gen_proto.py "$$fresh/jobsvc_proto" \
	  && diff --recursive --brief --exclude=__pycache__ "$$fresh/jobsvc_proto" sdk/jobsvc_proto \
	  || { echo "sdk/jobsvc_proto is not what proto/ gives; run make proto"; exit 1; }

.PHONY: format
format: setup  ## format the code, and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/buf format --write proto

.PHONY: proto
proto:  ## write the Python stubs again from proto/
	@$(PYTHON) tools/make_venv.py proto
	PATH="$(CURDIR)/.venv-proto/bin:$$PATH" .venv-proto/bin/python tools/gen_proto.py

.PHONY: proto-baseline
proto-baseline: setup  ## accept the contract as it is as the one that must stay compatible
	$(BIN)/buf build proto --exclude-source-info --output proto/image.binpb

.PHONY: sync
sync: setup  ## write the SDK's sync client again from the async one
	$(BIN)/python tools/gen_sync.py

.PHONY: bench-latency
bench-latency: setup  ## measure Submit to start, and Submit calls a second, beside bare loops
	@$(BIN)/python -m benchmarks.latency $(BENCH_ARGS)

.PHONY: bench-drain
bench-drain: setup  ## measure 10,000 jobs beside Dramatiq and Celery; BENCH_ARGS='--rounds 3' for all benches
	@$(BIN)/python -m benchmarks.drain $(BENCH_ARGS)

.PHONY: bench-watch
bench-watch: setup  ## measure 1,000 watchers on one server
	@$(BIN)/python -m benchmarks.watch $(BENCH_ARGS)

.PHONY: lock
lock: setup  ## pin requirements/*.in again, with hashes
	@cd requirements && for name in setup runtime dev proto; do \
	  $(PIP_COMPILE) $$name.in --output-file $$name.txt || exit 1; done
	@cd benchmarks && $(PIP_COMPILE) requirements.in --output-file requirements.txt

.PHONY: clean
clean:  ## remove what was made here: environments, caches, the state of `jobsvc dev`
	rm -rf .venv .venv-proto .bench .jobsvc .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
