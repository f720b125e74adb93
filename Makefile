# Needs only python3 >= 3.11 and make; everything else comes from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.set-up
MINUTES ?= 30
SERIES ?= 100000 1000000

.PHONY: help training chaos soak restart demo picture setup test lint integration evaluate bench peers profile fuzz wire notebooks notebook clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: setup ## a simulated fleet with faults through a real Kafka, in about a minute
	@$(BIN)/foreshock demo

picture: setup ## take the README's picture of the demo anew
	@$(BIN)/foreshock demo --picture configs/demo.svg

setup: $(STAMP) ## make .venv and install everything that constraints.txt names

$(STAMP): pyproject.toml constraints.txt
	@echo "setting up .venv (a few minutes, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "foreshock needs Python 3.11 or newer")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[broker,dask,notebooks]' --group dev
	@$(BIN)/python -c 'from models.tracking import default_uri, opened; opened(default_uri()).search_registered_models()'
	@touch $(STAMP)

test: lint ## everything that proves the project, on a real broker, in under ten minutes
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests/test_kernels.py tests/test_kernels_text.py tests/test_twins.py
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: setup ## ruff, mypy strict, and the import law
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

integration: setup ## all tests on the real broker, with the whole of the open telemetry (half an hour)
	@sh tests/integration/need-postgres.sh
	@$(BIN)/python -m pytest tests/integration -m ""

chaos: setup ## over seventy seeded rounds of faults on real processes and a real broker, against a run without (half an hour)
	@$(BIN)/python -m tests.chaos --rounds 78

soak: setup ## half an hour at 50,000 samples a second with jobs that roll: nothing lost, no memory that grows (MINUTES=30)
	@$(BIN)/python -m tests.soak --minutes $(MINUTES)

restart: setup ## how soon a killed job is back, and how long a snapshot holds up the hot path (ten minutes; SERIES=100000)
	@$(BIN)/python -m tests.benchmarks.restart $(SERIES) --readme

evaluate: setup ## the accuracy table on the open data, beside plain baselines and published scores (minutes)
	@$(BIN)/python tests/benchmarks/accuracy.py
	@$(BIN)/python tests/benchmarks/behaviour.py
	@$(BIN)/python tests/benchmarks/accuracy.py --readme
	@$(BIN)/python tests/benchmarks/behaviour.py --readme

bench: setup ## how fast: decoders, scorers, grid to incidents, end to end on a real broker, delays, starts (a quarter of an hour)
	@$(BIN)/python -m tests.benchmarks.speed
	@$(BIN)/python -m tests.benchmarks.speed --readme >/dev/null

training: setup ## what it takes to train a thousand hosts, alone and over two Dask workers (twenty minutes)
	@$(BIN)/python tests/benchmarks/training.py
	@$(BIN)/python tests/benchmarks/training.py --readme

peers: setup ## the others beside foreshock on the same records, each in an environment of its own (minutes)
	@$(BIN)/python -m tests.benchmarks.peers
	@$(BIN)/python -m tests.benchmarks.peers --readme >/dev/null

profile: setup ## where a job's time goes: a table by stage and a flame graph, build/profile.svg
	@$(BIN)/python -m tests.benchmarks.speed.profile

fuzz: setup ## meddle with records of real senders for a minute; none may end as an exception
	@$(BIN)/python tests/fuzz.py

wire: setup ## read captures of real senders, and write the README's table of what was found in them
	@$(BIN)/python tests/wire_table.py --readme

notebooks: setup ## run all notebooks from top to bottom, and keep their pictures
	@$(BIN)/jupyter execute --inplace --timeout=900 notebooks/*.ipynb

notebook: setup ## open JupyterLab with the kernel ready
	@$(BIN)/jupyter lab notebooks

clean: ## remove what set-up and tests made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
