# `make help` lists what there is. Everything runs in .venv, made from requirements.lock.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
INSTALLED := $(VENV)/installed
# Copied into .venv, where JupyterLab looks for it.
EXTENSION := $(shell find organnet/jupyter -name '*.js*')
# Named here, since the newest release fetches gigabytes and has not been tried.
TORCH := 2.13.0

.DEFAULT_GOAL := help
.PHONY: help venv reproduce test fuzz notebooks bench lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

venv: $(INSTALLED) ## .venv with the locked versions and the package (about 2 minutes, once)

# The stamp is newer than the lock: nothing is installed again until the lock or the package's metadata change.
$(INSTALLED): requirements.lock pyproject.toml $(EXTENSION)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later was not found: install it, or name it with make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or later: name one that is with make PYTHON=..." >&2; exit 2; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $$(grep -c == requirements.lock) packages into $(VENV); this takes a few minutes."
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(VENV)/bin/python -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1 || true  # pip would take one core
	@touch $@

reproduce: $(INSTALLED) ## the paper's experiment on the embedded data, end to end
	$(VENV)/bin/organnet reproduce --dataset phantom --data data/phantom-demo --profile demo --out runs/phantom-demo

# Tests and smoke runs are too small for two threads, which would only wait for each other.
test fuzz notebooks: export OMP_NUM_THREADS = 1

test: $(INSTALLED) ## ruff, pytest, and the notebooks against their stored outputs
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pytest -n 2 --dist loadfile
	rm -rf data/phantom-smoke runs/phantom-smoke  # may be of older code
	$(VENV)/bin/pytest --nbval notebooks

fuzz: $(INSTALLED) ## 1,000 damaged files of every format that is read (about 5 minutes)
	ORGANNET_MUTATIONS=1000 $(VENV)/bin/pytest tests/test_mutations.py

notebooks: $(INSTALLED) ## run the notebooks again and store their outputs
	rm -rf data/phantom-smoke runs/phantom-smoke
	$(VENV)/bin/jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb \
		--ClearMetadataPreprocessor.enabled=True --ClearMetadataPreprocessor.preserve_cell_metadata_mask=tags \
		--ClearMetadataPreprocessor.clear_notebook_metadata=False

bench: $(INSTALLED) ## measure speed and memory into docs/performance.md (about an hour; WHAT="metrics start" for some)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[bench]'
	$(VENV)/bin/python -m benchmarks $(WHAT)

lock: ## solve the dependencies anew into requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet '.[test]' torch==$(TORCH)
	{ echo "# Exact versions of everything, made by \`make lock\`; the Makefile and environment.yml install them."; \
	  build/lock/bin/pip freeze --exclude organnet | sed 's/+cpu$$//' | grep -Eiv '^(nvidia|triton|cuda)'; } > build/requirements.lock
	mv build/requirements.lock requirements.lock
	rm -rf build/lock

clean: ## remove .venv and caches; data and runs stay
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis *.egg-info
