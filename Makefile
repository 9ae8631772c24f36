# make app    install into .venv and open the workbench
# make test   install into .venv and run the quick tests
# make ci     everything: style, all tests, the browser

# The first of these that runs, is one of 3.11 to 3.13 and can make environments.
FITS := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
  $$python -c '$(FITS)' >/dev/null 2>&1 && { echo $$python; break; }; done)
BIN := .venv/bin
# A worker holds TensorFlow, about 1.5 GB; modules stay whole, for what they train once.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

.PHONY: app test ci lint screenshots clean

app: .venv/app
	$(BIN)/streamlit run Home.py

test: .venv/tests
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not e2e"

ci: .venv/tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest $(PARALLEL) -m "not e2e"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m e2e

lint: .venv/tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

screenshots: .venv/tests
	$(BIN)/python -m tests.e2e.screenshots

.venv/app: requirements.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' || { echo "FERscope needs Python 3.11, 3.12 or 3.13 with venv" \
	  "(Debian: apt-get install python3-venv). If yours has another name: make app PYTHON=/path/to/python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/tests: .venv/app requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache
