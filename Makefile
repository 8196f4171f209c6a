# `make dev` runs the pipeline on this machine, `make test` tests it. Both make .venv first.

RUNNABLE_PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	>/dev/null 2>&1 && { echo $$python; break; }; done)
PYTHON ?= $(RUNNABLE_PYTHON)

VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := pyproject.toml requirements.lock
# Every package has to have the hash that requirements.lock names.
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check

# Tests wait for brokers and for Dagster: a worker more than cores. Each has a stack of its own.
WORKERS ?= 3
# Tests that share a Dagster or a cluster stay on one worker (stock_pipeline_tests/support/tiers.py).
TOGETHER = $(BIN)/pytest -q -n $(WORKERS) --dist=loadscope
ANY_ORDER = $(BIN)/pytest -q -n $(WORKERS) --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help dev check lint unit test test-apache test-faults test-nightly bench soak soak-faults \
	fuzz fuzz-guided screenshots format lock sbom clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^## / {printf "\n%s\n", substr($$0, 4)} \
		/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Run

dev: $(VENV)/.local ## The whole pipeline on this machine, until Ctrl-C (BROKER=apache)
	@exec $(BIN)/stock-pipeline dev $(if $(BROKER),--broker $(BROKER))

## Check: docs/testing.md says what each proves and how long it takes

check: lint unit ## Format, lint, types, unit and property tests

# In one session: each worker imports all that is tested, which takes ten seconds.
test: lint ## The above and all tests on the embedded broker and the AWS emulator
	@echo "== Tests without a server and on the embedded broker and the AWS emulator, some faults"
	@$(ANY_ORDER) -m "tier_check or tier_test"

test-apache: $(VENV)/.dev ## What judges Kafka's semantics, on Apache Kafka (needs Java, Maven)
	@echo "== Tests on Apache Kafka"
	@STOCK_PIPELINE_TEST_BROKER=apache $(TOGETHER) -m tier_apache

test-faults: $(VENV)/.dev ## Everything killed, paused, cancelled and deleted; browser; short fuzz
	@echo "== Faults, browser, fuzz"
	@$(TOGETHER) -m tier_faults

test-nightly: fuzz soak soak-faults ## The long forms: soaks, million payloads, ten million records
	@echo "== All steps of a run cancelled, ten million records, random histories"
	@STOCK_PIPELINE_CANCEL_STEPS=all STOCK_PIPELINE_BACKLOG=10000000 STOCK_PIPELINE_KILLS=1000 \
		$(BIN)/pytest -q --timeout=3300 -m tier_faults stock_pipeline_tests/faults
	@STOCK_PIPELINE_APACHE_HISTORIES=100 $(BIN)/pytest -q --timeout=3300 \
		stock_pipeline_tests/integration/apache/test_exactly_once_on_apache.py
	@$(BIN)/pytest -q --hypothesis-profile=default -m tier_check

lint: $(VENV)/.dev ## ruff check, ruff format --check, mypy, scanners, lock files
	@echo "== Lint, format and types"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@BIN=$(BIN) .ci/secrets
	@$(BIN)/zizmor --offline --quiet .github/workflows
	@$(BIN)/python .ci/lock --check

unit: $(VENV)/.dev ## Unit and property tests
	@echo "== Unit and property tests"
	@$(ANY_ORDER) -m tier_check

format: $(VENV)/.dev ## Sort imports and format
	@$(BIN)/ruff check --select I --fix -q
	@$(BIN)/ruff format

## Measure

bench: $(VENV)/.dev ## The README's numbers
	@$(BIN)/python -m benchmarks

soak: $(VENV)/.dev ## The pipeline for an hour: memory, CPU and disk
	@$(BIN)/python -m benchmarks.soak

soak-faults: $(VENV)/.dev ## The pipeline killed and its store broken at random for an hour
	@$(BIN)/python -m stock_pipeline_tests.faults.soak_faults

fuzz: $(VENV)/.dev ## A million hostile payloads through every decoder
	@$(BIN)/python -m stock_pipeline_tests.fuzz

fuzz-guided: $(VENV)/.dev ## The coverage-guided fuzzer on decoders, settings and files
	@$(BIN)/python -m stock_pipeline_tests.fuzz.guided

screenshots: $(VENV)/.dev ## The README's pictures, of a `stock-pipeline dev` that it starts
	@STOCK_PIPELINE_SCREENSHOTS=docs/images $(BIN)/pytest -q stock_pipeline_tests/browser

## Release

lock: $(VENV)/.dev ## Write the lock files anew from constraints.txt (needs uv)
	@$(BIN)/python .ci/lock

sbom: $(VENV)/.dev ## Bill of materials of what is installed, as CycloneDX, in dist/
	@mkdir -p dist
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --of JSON -o dist/stock_pipeline.cdx.json

## Tidy

clean: ## Delete the environment, caches and all local data (.stock_pipeline)
	rm -rf $(VENV) .stock_pipeline .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist \
		*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: pip runs again only when the requirements have changed.
$(VENV)/.local: $(VENV)/.created $(REQUIREMENTS)
	@echo "Installing the packages (once; a few minutes with an empty cache)"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.created $(REQUIREMENTS) requirements-dev.lock
	@echo "Installing the packages and the tools of development (once)"
	@$(INSTALL) --require-hashes -r requirements.lock -r requirements-dev.lock
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $@ $(VENV)/.local

$(VENV)/.created:
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11, 3.12 or 3.13 is needed and none was found on the PATH."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "$(PYTHON) cannot be used: Python 3.11, 3.12 or 3.13 is needed."; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment (Debian: apt install python3-venv)."; \
		exit 1; }
	@touch $@
