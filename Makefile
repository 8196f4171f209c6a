# `make dev` runs the pipeline on this machine, `make test` runs every check. Both make .venv first.

RUNNABLE_PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	>/dev/null 2>&1 && { echo $$python; break; }; done)
PYTHON ?= $(RUNNABLE_PYTHON)

VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := pyproject.toml requirements.lock
# Every package has to have the hash that requirements.lock names.
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help dev test unit integration apache bench fuzz fuzz-guided soak soak-faults screenshots lint format lock sbom clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: $(VENV)/.local ## Run the whole pipeline on this machine, until Ctrl-C (BROKER=apache)
	@exec $(BIN)/stock-pipeline dev $(if $(BROKER),--broker $(BROKER))

test: lint unit integration apache ## Lint, types and all tests, on ports and in folders of their own

unit: $(VENV)/.dev ## Unit and property tests
	@echo "== Unit and property tests"
	@$(BIN)/pytest -q -n 2 -m "not integration and not faults and not browser"

integration: $(VENV)/.dev ## Tests on a real broker, AWS emulator and browser
	@echo "== Integration tests"
	@$(BIN)/pytest -q -m "(integration or faults or browser) and not apache"

# Of the tests of the broker, those that only need a filled lake; `make apache ON_APACHE=` runs them too.
ON_APACHE ?= -k "not test_catalogue and not test_verify"

apache: $(VENV)/.dev ## Tests on Apache Kafka, and those of the broker once more on it (needs Java, Maven)
	@echo "== Tests on Apache Kafka"
	@$(BIN)/pytest -q -m apache
	@echo "== Integration tests once more, on Apache Kafka"
	@STOCK_PIPELINE_TEST_BROKER=apache $(BIN)/pytest -q -m "broker and not apache and not faults" $(ON_APACHE)

lint: $(VENV)/.dev ## ruff check, ruff format --check, mypy, scanners, lock files
	@echo "== Lint, format and types"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@BIN=$(BIN) .ci/secrets
	@$(BIN)/zizmor --offline --quiet .github/workflows
	@$(BIN)/python .ci/lock --check

format: $(VENV)/.dev ## Sort imports and format
	@$(BIN)/ruff check --select I --fix -q
	@$(BIN)/ruff format

lock: $(VENV)/.dev ## Write the lock files anew from constraints.txt (needs uv)
	@$(BIN)/python .ci/lock

sbom: $(VENV)/.dev ## Bill of materials of what is installed, as CycloneDX, in dist/
	@mkdir -p dist
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --of JSON -o dist/stock_pipeline.cdx.json

bench: $(VENV)/.dev ## Measure the README's numbers
	@$(BIN)/python -m benchmarks

fuzz: $(VENV)/.dev ## A million hostile payloads through every decoder
	@$(BIN)/python -m stock_pipeline_tests.fuzz

fuzz-guided: $(VENV)/.dev ## The coverage-guided fuzzer on decoders, settings and files
	@$(BIN)/python -m stock_pipeline_tests.fuzz.guided

soak: $(VENV)/.dev ## Run the pipeline for an hour and watch memory, CPU and disk
	@$(BIN)/python -m benchmarks.soak

soak-faults: $(VENV)/.dev ## Kill the pipeline and break its store at random for an hour
	@$(BIN)/python -m stock_pipeline_tests.faults.soak_faults

screenshots: $(VENV)/.dev ## Take the README's pictures of a `stock-pipeline dev` that it starts
	@STOCK_PIPELINE_SCREENSHOTS=docs/images $(BIN)/pytest -q stock_pipeline_tests/browser

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
