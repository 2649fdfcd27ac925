# Needs Python >= 3.11 and make; everything else goes into .venv. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Your own pip configuration decides where packages come from.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
PACKAGES := api bench ganclinic ganlib migrations store tests worker

# The installed versions change only when one of these does.
PINS := pyproject.toml constraints.txt

# The dashboard: what is built, what of, and npm with a Node.js that is new enough.
PAGES := api/pages/built/index.html
PAGES_SOURCES := $(wildcard dashboard/*.json dashboard/*.mjs dashboard/src/* dashboard/src/*/* docs/images/findings/*)
MODULES := dashboard/node_modules/.package-lock.json
NPM := $(BIN)/python dashboard/npm.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check-demo check-tutorial serve dashboard chromium test check format chaos compose-env clean
.PHONY: try-dashboard

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "make bench-NAME       measure something: 'make -C bench help' lists the names"

demo: $(VENV)/installed try-dashboard ## train three published experiments on real digits and say what is wrong with two of them
	$(BIN)/ganclinic demo

check-demo: $(VENV)/installed try-dashboard ## run the demo in a state directory of its own and check its verdicts
	$(BIN)/python -m tests.support.demo_check

check-tutorial: $(VENV)/installed ## run the commands of docs/tutorial.md, from an alarm to a cure
	$(BIN)/python -m tests.support.tutorial_check

serve: $(VENV)/installed try-dashboard ## run the service until Ctrl-C
	$(BIN)/ganclinic up

dashboard: $(PAGES) ## build the pages that the service shows at /: needs the npm registry, and no Node.js

try-dashboard: $(VENV)/installed
	@$(MAKE) --no-print-directory dashboard || { echo; echo "The pages could not be built, for what npm says above; most often the npm registry cannot be reached."; \
	if [ -f $(PAGES) ]; then echo "The service shows those that were built before."; \
	else echo "The service runs without them: its commands and its API need none."; fi; \
	echo "Once the registry answers: make dashboard"; }

chromium: ## install Debian's Chromium, for tests/browser
	command -v chromium > /dev/null || { apt-get update && apt-get install --yes chromium; }

test: $(VENV)/installed-dev try-dashboard ## run all tests, against real PostgreSQL and Valkey servers of their own
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/installed-dev $(MODULES) ## check format, lint, types, import contracts, names and the dashboard
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tests.support.names_check
	@mkdir -p dashboard/generated
	$(BIN)/python -m api.openapi > dashboard/generated/openapi.json
	$(NPM) run check

format: $(VENV)/installed-dev $(MODULES) ## format the code and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(NPM) run format

# Each benchmark is a target of bench/Makefile: `make bench-speed` is `make -C bench speed`.
bench-%: $(VENV)/installed-dev
	@$(MAKE) --no-print-directory -C bench $*

chaos: $(VENV)/installed-dev ## kill, stop and starve the service 400 times, then count what was lost or doubled: 40 minutes
	$(BIN)/python -m bench.chaos $(CHAOS_ARGS)

compose-env: .env ## make the passwords that docker compose asks for

clean: ## remove .venv and everything built; runs in .ganclinic stay
	rm -rf $(VENV) build dist api/pages/built dashboard/generated dashboard/node_modules *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, \
	$(PYTHON) is {v[0]}.{v[1]}: make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)

# The build backend comes first and is pinned like the rest: hence no isolated build.
$(VENV)/installed: $(PINS) | $(BIN)/python
	@echo "installing the service into $(VENV): the first time this takes some minutes, most of it PyTorch"
	@$(PIP_INSTALL) pip setuptools
	@$(PIP_INSTALL) --no-build-isolation --editable '.[server,train]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing the development tools into $(VENV)"
	@$(PIP_INSTALL) --no-build-isolation --editable '.[server,train,dev]'
	@touch $@

$(MODULES): dashboard/package-lock.json dashboard/.npmrc | $(VENV)/installed
	$(NPM) ci --no-progress
	@touch $@

$(PAGES): $(PAGES_SOURCES) $(MODULES)
	$(NPM) run --silent build

.env:
	@umask 077 && $(PYTHON) -c 'import secrets; [print(f"{name}={secrets.token_hex(24)}") \
	for name in ("POSTGRES_PASSWORD", "GANCLINIC_TOKEN")]' > $@
	@echo "wrote $@"
