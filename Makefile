# The two commands of the README: `make demo` and `make test`. Everything else is for development.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test hunt bench binary docs lint types contracts fmt clean

$(VENV)/.runtime: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.runtime

demo: $(VENV)/.runtime
	$(BIN)/python -m appliance demo $(ARGS)

test: $(VENV)/.dev lint types contracts
	$(BIN)/python -m pytest $(ARGS)

# The tests with dice that nobody has seen; ARGS=tests/model and the like.
hunt: $(VENV)/.dev
	APPLIANCE_SEED=new $(BIN)/python -m pytest $(ARGS)

# Figures of the whole, as a table; ARGS="--quick --only steady,rpc --json FILE" and the like.
bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench.run $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

# One executable, dist/appliance; built only when a source is newer.
binary: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python build/freeze.py --if-old

# The pages that come from code; a test compares them.
docs: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python build/docs.py

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist build/work
