PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Processes that test. They wait more than they compute, so two cores serve three; each may have a server, a browser and
# torch beside it. They take whole modules in the order of their names: the short ones, tests/unit, come last, so that
# all end at about the same time.
WORKERS ?= 3

.PHONY: run test lint bench docs clean

run: $(STAMP)  ## install what is missing, start the server, print its address
	$(BIN)/whisperlive-hybrid serve

test: $(STAMP)  ## all tests, a module at a time in each of several processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(STAMP)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## all benchmarks; prints the tables of docs/performance.md
	$(BIN)/python -m benchmarks

docs: $(STAMP)  ## write the generated parts of the docs (settings, .env.example, compatibility)
	$(BIN)/python -m tools.settings_table
	$(BIN)/python -m tools.compatibility_table
	$(BIN)/python -m tools.file_page.build

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist *.egg-info
