# Needs Python >= 3.11 and make; everything else goes into .venv. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Your own pip configuration decides where packages come from.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
PACKAGES := api bench ganclinic ganlib migrations store tests worker

# Benches on full MNIST look in GANCLINIC_DATA_DIR, as the service does.
BENCH_DATA := $(if $(GANCLINIC_DATA_DIR),--data-dir '$(GANCLINIC_DATA_DIR)')

# The installed versions change only when one of these does.
PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check-demo check-tutorial serve test check format compose-env clean bench-demo bench-published bench-full-size bench-gpu-sharing bench-verdicts bench-verdicts-record bench-verdicts-cure bench-foreign bench-remedies bench-thresholds bench-evaluate bench-overhead bench-calibrate bench-oscillation bench-scheduling bench-scaling bench-submission chaos

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## train three published experiments on real digits and say what is wrong with two of them
	$(BIN)/ganclinic demo

check-demo: $(VENV)/installed ## run the demo in a state directory of its own and check its verdicts
	$(BIN)/python -m tests.support.demo_check

check-tutorial: $(VENV)/installed ## run the commands of docs/tutorial.md, from an alarm to a cure
	$(BIN)/python -m tests.support.tutorial_check

serve: $(VENV)/installed ## run the service until Ctrl-C
	$(BIN)/ganclinic up

test: $(VENV)/installed-dev ## run all tests, against real PostgreSQL and Valkey servers of their own
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/installed-dev ## check format, lint, types and import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-cache

format: $(VENV)/installed-dev ## format the code and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench-demo: $(VENV)/installed ## count how often the demo's verdicts are right: 10 seeds, about 25 minutes
	$(BIN)/python -m bench.demo_verdicts

bench-published: $(VENV)/installed ## compare the presets with what was published: about an hour
	$(BIN)/python -m bench.published $(BENCH_DATA)

bench-gpu-sharing: $(VENV)/installed ## what sharing a GPU costs, and its memory beside torch: minutes, needs a GPU
	$(BIN)/python -m bench.gpu_sharing $(BENCH_DATA)

bench-full-size: $(VENV)/installed ## judge the presets' runs at full size anew: seconds
	$(BIN)/python -m bench.full_size

bench-remedies: $(VENV)/installed ## whether each remedy helps against what it was published for: two hours, resumable
	$(BIN)/python -m bench.remedies

bench-thresholds: $(VENV)/installed ## between which values the signals lie that thresholds were set on: half an hour
	$(BIN)/python -m bench.threshold_ranges

bench-verdicts: $(VENV)/installed-dev ## judge every recorded run of the suite anew: a minute
	$(BIN)/python -m bench.verdicts.score

bench-verdicts-record: $(VENV)/installed-dev ## train what the suite has not recorded yet: hours, resumable (COLOUR=zip of class folders)
	$(BIN)/python -m bench.verdicts.record $(BENCH_DATA) $(if $(COLOUR),--colour '$(COLOUR)')

bench-verdicts-cure: $(VENV)/installed-dev ## treat the suite's sick runs with their first remedy: hours, resumable
	$(BIN)/python -m bench.verdicts.cure $(BENCH_DATA)

bench-foreign: $(VENV)/installed-dev ## judge trainings of loops that are not ours, by their logs alone and with fakes: 15 minutes, resumable
	$(BIN)/python -m bench.foreign.score $(BENCH_DATA)

bench-evaluate: $(VENV)/installed-dev ## what the evaluation costs: about 10 minutes
	$(BIN)/python -m bench.evaluate $(BENCH_DATA)

bench-overhead: $(VENV)/installed ## what watching a run costs, as a share of its training: minutes
	$(BIN)/python -m bench.overhead $(BENCH_DATA)

bench-submission: $(VENV)/installed-dev ## how long a submission takes while the broker is down: a minute
	$(BIN)/python -m bench.submission

bench-calibrate: $(VENV)/installed ## whether the evaluation is right where the truth is known: about 20 minutes
	$(BIN)/python -m bench.calibrate $(BENCH_DATA)

bench-oscillation: $(VENV)/installed-dev ## how often noise alarms as an oscillation or a trend: about 15 minutes
	$(BIN)/python -m bench.oscillation_null

bench-scheduling: $(VENV)/installed-dev ## how fairly devices are shared over a week, and what a claim costs: 10 minutes
	$(BIN)/python -m bench.scheduling

chaos: $(VENV)/installed-dev ## kill, stop and starve the service 400 times, then count what was lost or doubled: 40 minutes
	$(BIN)/python -m bench.chaos $(CHAOS_ARGS)

bench-scaling: $(VENV)/installed-dev ## what runs cost with 1 to 1,000 workers, and how many clients may follow logs: 10 minutes
	$(BIN)/python -m bench.scaling

compose-env: .env ## make the passwords that docker compose asks for

clean: ## remove .venv and everything built; runs in .ganclinic stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
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

.env:
	@umask 077 && $(PYTHON) -c 'import secrets; [print(f"{name}={secrets.token_hex(24)}") \
	for name in ("POSTGRES_PASSWORD", "GANCLINIC_TOKEN")]' > $@
	@echo "wrote $@"
