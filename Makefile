# Everything runs in .venv, which the first target that needs it creates from the lock files in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
EXAMPLE := manifests/examples/cartpole.yaml
# Real ones, for the tests of the operator, of where models come from, of the chart and of dashboards.
API_SERVER := etcd kube-apiserver kube-controller-manager kubectl
OBJECT_STORES := versitygw fake-gcs-server
HELM := helm
MONITORING := prometheus promtool scrape-configuration
# Tests that need more than this machine's Python say so when they are skipped.
TESTS ?= tests/unit tests/integration

.DEFAULT_GOAL := help
.PHONY: help demo cartpole test unit check lint types layers format generate verify lock frameworks docs docs-serve bench clean
.PHONY: images image-sizes cluster-programs cluster-up cluster-down demo-cluster e2e

help: ## Show this list.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 18

# Two sets: what serving needs, in half a minute; and all that developing needs, importers' frameworks included.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed; set PYTHON") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: requirements/local.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what serving needs into $(VENV) ..."
	$(PIP) install --quiet --require-hashes -r requirements/local.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what developing needs into $(VENV) (a minute or two: TensorFlow among it) ..."
	$(PIP) install --quiet --no-deps --require-hashes -r requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.local

demo: $(VENV)/.local ## Serve the sample policy on this machine and send it a first request; Ctrl-C ends it.
	@$(BIN)/policyserver up $(EXAMPLE) --send-sample $(DEMO_OPTIONS)

cartpole: $(VENV)/.dev ## Train CartPole once, serve three policies, and play until the router has found the good one.
	@$(BIN)/python -m examples.cartpole.story $(CARTPOLE_OPTIONS)

# All but Redis and Chromium is kept in the user's cache; what can't be had here, tests are skipped for, and say so.
test: $(VENV)/.dev ## Run all tests; first gets PyTorch (3 GB), Redis and Chromium for them, and builds an API server where there is Go.
	@if [ -n "$$KUBECONFIG$$KUBEBUILDER_ASSETS" ] || ! command -v go > /dev/null; then :; \
	else echo "Building an API server, object stores, Helm and Prometheus (a quarter of an hour the first time) ..." \
	  && $(BIN)/python -m tests.cluster build $(API_SERVER) $(OBJECT_STORES) $(HELM) $(MONITORING); fi
	-@$(BIN)/python -m tests.frameworks
	-@$(BIN)/python -m tests.integration.router.redis_server
	-@$(BIN)/python -m tests.integration.page.chromium
	-@$(BIN)/python -m tests.integration.clients.toolchains
	$(BIN)/python -m pytest $(TESTS) $(PYTEST_OPTIONS)

unit: $(VENV)/.dev ## Run the tests that take seconds.
	$(BIN)/python -m pytest tests/unit $(PYTEST_OPTIONS)

check: lint types layers verify ## Check style, types, layers and generated files.

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

generate: $(VENV)/.dev ## Write the generated files anew.
	@$(MAKE) --no-print-directory generated INTO=.

# What is generated, written below INTO.
.PHONY: generated
generated:
	@mkdir -p $(INTO)/crds $(INTO)/helm/policyserver/files/crds $(INTO)/manifests/examples
	@$(BIN)/python -m policy_operator.crd $(INTO)/crds/policyservers.yaml
	@cp $(INTO)/crds/policyservers.yaml $(INTO)/helm/policyserver/files/crds/
	@$(BIN)/python examples/cartpole/manifest.py > $(INTO)/manifests/examples/cartpole.yaml
	@mkdir -p $(INTO)/manifests/dashboards $(INTO)/helm/policyserver/files/dashboards
	@$(BIN)/python -m manifests.dashboards.source $(INTO)/manifests/dashboards
	@cp $(INTO)/manifests/dashboards/*.json $(INTO)/helm/policyserver/files/dashboards/
	@cp manifests/alerts/policyserver.yaml $(INTO)/helm/policyserver/files/alerts.yaml
	@mkdir -p $(INTO)/docs/reference
	@$(BIN)/python -m docs.reference.source $(INTO)/docs/reference

verify: $(VENV)/.dev ## Check that generated files and lock files are what their sources make.
	@rm -rf build/verify && mkdir -p build/verify/requirements
	@$(MAKE) --no-print-directory generated INTO=build/verify
	@cp requirements/*.txt build/verify/requirements/
	@$(MAKE) --no-print-directory locked INTO=build/verify
	@cd build/verify && find . -type f | while read -r file; do \
	  diff -u "../../$$file" "$$file" || { echo "error: $$file is not what its source makes; run make generate lock" >&2; exit 1; }; done
	@echo "Generated files are what their sources make."

lock: $(VENV)/.dev ## Pin the dependencies anew, with hashes; UPGRADE=--upgrade takes newer versions.
	@$(MAKE) --no-print-directory locked INTO=.
	@$(BIN)/python -m tests.bench.lock $(UPGRADE)

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE) pyproject.toml
# All agree with dev.txt, so that what is tested is what is shipped.
.PHONY: locked
locked:
	@$(COMPILE) --excludes requirements/left-out.txt --extra operator --extra server --extra redis --extra ray --extra sdks \
	  --extra sources --extra tensorflow --group dev -o $(INTO)/requirements/dev.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --extra operator --extra server --group build -o $(INTO)/requirements/local.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --group build -o $(INTO)/requirements/build.txt
	@$(COMPILE) --excludes tests/integration/protocols/left-out.txt --group clients -o $(INTO)/requirements/clients.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --extra operator -o $(INTO)/requirements/operator.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --excludes requirements/left-out.txt --extra server --extra redis \
	  --extra sources -o $(INTO)/requirements/server.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --excludes requirements/left-out.txt --extra server --extra redis \
	  --extra ray --extra sources -o $(INTO)/requirements/ray.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --excludes requirements/left-out.txt --extra sdks -o $(INTO)/requirements/sdks.txt
	@$(COMPILE) -c $(INTO)/requirements/dev.txt --extra server --extra tensorflow -o $(INTO)/requirements/tensorflow.txt
	@$(COMPILE) -c $(INTO)/requirements/server.txt --excludes requirements/left-out.txt --extra server \
	  --extra stable-baselines3 --extra rllib -o $(INTO)/requirements/rllib.txt
	@$(COMPILE) -c $(INTO)/requirements/rllib.txt --excludes requirements/left-out.txt --extra server \
	  --extra stable-baselines3 -o $(INTO)/requirements/torch.txt

frameworks: $(VENV)/.dev ## Install PyTorch, Stable-Baselines3 and RLlib for the tests (3 GB to fetch), as they do.
	@$(BIN)/python -m tests.frameworks

# Without the notice of a successor that each run would print.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
docs: $(VENV)/.dev ## Make a site of docs in build/site, which loads nothing from elsewhere.
	$(MKDOCS) build --strict --quiet

docs-serve: $(VENV)/.dev ## Show that site on http://localhost:8001 while docs are edited.
	$(MKDOCS) serve --strict --dev-addr localhost:8001

bench: $(VENV)/.dev ## Measure; each figure stands beside a peer's from the same run.
	$(BIN)/python -m pytest tests/bench -s $(PYTEST_OPTIONS)

# The name of the images' version, docker.io/policyserver/server:$(VERSION) and so on.
VERSION ?= dev
export VERSION
E2E = $(BIN)/python -m tests.e2e

images: $(VENV)/.dev ## Build the images that the tests run, without Docker; see README.md for building them with it.
	@$(E2E) images

image-sizes: $(VENV)/.dev ## Print how large the images are.
	@$(E2E) image-sizes

cluster-programs: $(VENV)/.dev ## Build Kubernetes and all the cluster needs, a quarter of an hour the first time.
	@$(BIN)/python -m tests.cluster build > /dev/null

cluster-up: $(VENV)/.dev ## Bring up a real Kubernetes on this machine (root, Go), with the operator in it.
	@$(E2E) up

cluster-down: $(VENV)/.dev ## End that Kubernetes; what was built for it stays.
	@$(E2E) down

demo-cluster: $(VENV)/.dev ## Serve the sample policy on that Kubernetes and send it a first request.
	@$(E2E) demo

e2e: $(VENV)/.dev ## Run the end-to-end tests there, or on the cluster that KUBECONFIG names.
	@$(E2E) test $(PYTEST_OPTIONS)

clean: ## Remove what the other targets made.
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
