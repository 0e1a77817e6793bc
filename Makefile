# Everything runs in a virtual environment that the first target makes; nothing needs to be installed beforehand but
# python3 (3.11 or later) and a package index. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto
DATA ?=
BASE ?= main
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Who only tries it needs the package alone, which is there in seconds.
TRY_VENV := $(if $(wildcard $(READY)),$(VENV),.venv-try)
TRY_READY := $(TRY_VENV)/.ready
SITE_VENV := .venv-site
SITE_READY := $(SITE_VENV)/.ready
REDOCLY := @redocly/cli@2.77.0
HANDWRITTEN := generator overlays tests hatch_build.py

.DEFAULT_GOAL := help
.PHONY: help generate check-generated surface check-surface changes audit lock upgrade-generator lint lint-openapi format type check test test-long spark test-floors coverage peer wheel check-wheel release-check demo sandbox pictures site docs-check bench bench-bulk clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-17s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable '.[sandbox]'
	@touch $@

generate: $(READY) ## render generated/ from spec/ and overlays/templates/
	$(BIN)/python -m generator build

check-generated: $(READY) ## fail if generated/ is not what the spec and the templates make
	$(BIN)/python -m generator check

surface: $(READY) ## write surface.txt, the public names with their signatures
	$(BIN)/python -m generator surface

check-surface: $(READY) ## fail if surface.txt is not what the packages offer
	$(BIN)/python -m generator surface --check

changes: $(READY) ## what changed for callers since BASE (a git revision or a folder), and which version it asks for
	@$(BIN)/python -m generator diff $(BASE)

audit: $(READY) ## the spec against a reference text, and what is new in it: make audit DOCUMENT=new.txt [AGAINST=old.txt]
	@test -n "$(DOCUMENT)" || { echo "usage: make audit DOCUMENT=new.txt [AGAINST=old.txt]" >&2; exit 2; }
	$(BIN)/python -m generator audit --document "$(DOCUMENT)" $(if $(AGAINST),--against "$(AGAINST)")

upgrade-generator: $(READY) ## what another openapi-python-client would change: make upgrade-generator VERSION=x
	@test -n "$(VERSION)" || { echo "usage: make upgrade-generator VERSION=x" >&2; exit 2; }
	@$(BIN)/python -m generator upgrade "$(VERSION)"

lock: $(READY) ## write spec/reference.lock for a reference text: make lock [DOCUMENT=new.txt]
	$(BIN)/python -m generator lock $(if $(DOCUMENT),--document "$(DOCUMENT)")

lint: $(READY) ## ruff on what is handwritten
	$(BIN)/ruff check $(HANDWRITTEN)
	$(BIN)/ruff format --check $(HANDWRITTEN)

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix $(HANDWRITTEN)
	$(BIN)/ruff format $(HANDWRITTEN)

lint-openapi: ## an OpenAPI linter on the bundle, where node is at hand
	@if command -v npx >/dev/null 2>&1; then npx --yes $(REDOCLY) lint --config .redocly.yaml generated/openapi.yaml; \
	else echo "lint-openapi: skipped, there is no npx here"; fi

type: $(READY) ## mypy strict on all, pyright strict on what is handwritten
	$(BIN)/mypy generator overlays/synerise_profiles tests/typing
	$(BIN)/mypy generated/synerise_profiles_api
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint type check-generated check-surface lint-openapi check-wheel docs-check ## all but the tests of the code

test: $(READY) ## the tests, in minutes; a worker a core, or make test WORKERS=0 for one process
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test-long: $(READY) ## the tests that take long
	$(BIN)/python -m pytest -q -m long

spark: ## the sink of Spark on a real Spark, in .venv-spark; skipped where there is no Java
	@if command -v java >/dev/null 2>&1 || test -n "$$JAVA_HOME"; then \
	test -x .venv-spark/bin/pip || $(PYTHON) -m venv .venv-spark; \
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	--group test --editable '.[sandbox,spark]' && .venv-spark/bin/python -m pytest -q -s -rs -m spark tests/integrations; \
	else echo "spark: skipped, there is no Java here"; fi

test-floors: ## the tests with the oldest dependencies, and on further Pythons that are at hand
	@WORKERS=$(WORKERS) .ci/floors

coverage: $(READY) ## branch coverage of what is handwritten; fails below the figure in pyproject.toml
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist worksteal
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

peer: $(READY) ## the bundle read by tools of others, and each request against a mock server; what cannot be had is skipped
	$(BIN)/python -m pytest -q -rs -m peer tests/peer

wheel: $(READY) ## build the wheel into dist/
	@rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@ls dist

check-wheel: wheel ## the wheel holds two packages and nothing else
	$(BIN)/python -m pytest -q tests/packaging

release-check: $(READY) ## what a release has to pass beside check and test
	@.ci/release-check

demo: $(TRY_READY) ## real customers and purchases through the client to the sandbox: make demo [DATA=file.csv] [KEEP=1]
	$(TRY_VENV)/bin/python tests/examples/demo.py $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep)

sandbox: $(TRY_READY) ## serve the sandbox with its start page: make sandbox [PORT=8080]
	$(TRY_VENV)/bin/synerise-profiles sandbox --port $(or $(PORT),8080)

pictures: $(READY) ## draw the pictures of the pages anew
	$(BIN)/python tests/examples/pictures.py

.venv-try/.ready: pyproject.toml constraints.txt
	@test -x .venv-try/bin/pip || $(PYTHON) -m venv .venv-try
	.venv-try/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[sandbox,cli]'
	@touch $@

$(SITE_READY): pyproject.toml constraints.txt
	@test -x $(SITE_VENV)/bin/pip || $(PYTHON) -m venv $(SITE_VENV)
	@$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group site
	@touch $@

site: $(READY) $(SITE_READY) ## all pages as one static site with a search, in build/site/html; it needs no network
	@$(BIN)/python -m generator site build/site
	@$(SITE_VENV)/bin/zensical build --strict --config-file build/site/zensical.toml
	@rm -f build/site/html/404.html
	@$(BIN)/python -m generator site build/site --check
	@echo "open build/site/html/index.html"

docs-check: site ## the pages: their code, links, names and counts, their pictures, and the links of the site
	$(BIN)/python -m pytest -q tests/examples/test_guides.py tests/examples/test_links.py tests/examples/test_pictures.py \
		tests/house/test_map.py tests/house/test_readme.py tests/generator/test_rooms.py tests/generator/site

bench: $(READY) ## ratios against bare httpx, bare imports, a bare deque and a bare server
	$(BIN)/python tests/benchmarks/import_time.py
	$(BIN)/python tests/benchmarks/call_overhead.py
	$(BIN)/python -m tests.benchmarks.connections
	$(BIN)/python tests/benchmarks/queue_put.py
	$(BIN)/python tests/benchmarks/sandbox_throughput.py

bench-bulk: $(READY) ## speed and memory of bulk runs, their sources and delta sync, as ratios; takes minutes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group bench
	$(BIN)/python tests/benchmarks/bulk_speed.py
	$(BIN)/python tests/benchmarks/bulk_memory.py
	$(BIN)/python tests/benchmarks/source_speed.py
	$(BIN)/python tests/benchmarks/source_speed.py --memory
	$(BIN)/python tests/benchmarks/delta_sync.py

clean: ## remove what was built; the environment stays
	rm -rf build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
