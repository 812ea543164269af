# The few commands of this project; `make` alone lists them. Every target brings .venv up to date first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# A Python 3.11 or later; empty: the newest release that is on PATH.
PYTHON ?=
PY := .venv/bin/python
USABLE = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11) or sys.version_info.releaselevel != 'final')"
STACK ?= openstack-dev
CLOUD ?= openstack
N ?= 3
# One more than there are cores, for an engine waits for its cloud; each test goes to the next worker that is free.
PYTEST = $(PY) -m pytest -n $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 ))) --maxprocesses 8 --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Bytecode goes into .venv and __pycache__, whatever the user's shell has set: without it each start takes seconds more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-all live torture unit lab lint site docs-serve fmt golden docs contract states bench release plan preview up refresh destroy sandbox-up sandbox-down pins

help: ## list the commands
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 28

setup: .venv/done ## make .venv with everything that is pinned

# The second is enough for the commands of kubeports that read no cloud.
.venv/done: what := all
.venv/plan: what := plan
.venv/done .venv/plan: requirements.txt requirements-dev.txt components/pyproject.toml
	@for each in $(or $(PYTHON),python3.{19..11} python3); do \
	  "$$each" -c $(USABLE) 2>/dev/null && exec "$$each" -m sandbox.setup $(what); done; \
	  echo "error: $(or $(PYTHON),PATH) has no Python 3.11 or later with the module venv. Fix: install one, or: make PYTHON=/path/to/python3" >&2; exit 2

demo: setup ## the full deploy cycle on a cloud on this machine, without an account: CLOUD=openstack, aws, gcp or all
	@CLOUD="$(CLOUD)" $(PY) -m sandbox.demo

test: setup ## the tests that a change most likely breaks, with all three clouds, in 10 minutes
	@$(PY) -m sandbox tools
	@$(PYTEST) -m "not slow" --longest=30

test-all: setup ## every test, in half an hour; REST=1: those that make test leaves out
	@$(PY) -m sandbox tools
	@$(PYTEST) $(if $(REST),-m slow) --durations=25

live: setup ## the demo's steps on your own account: make live CLOUD=aws NETWORK=vpc-... (docs/live.md)
	@CLOUD="$(CLOUD)" NETWORK="$(NETWORK)" $(PY) -m sandbox.live

torture: setup ## faults and kills on the real Neutron, and 20 N faults in the lab: make torture N=10
	@[[ "$(N)" =~ ^[1-9][0-9]{0,4}$$ ]] || { echo "error: N=$(N) must be a whole number above 0. Fix: make torture N=10" >&2; exit 2; }
	@KUBEPORTS_TORTURE=$(N) $(PY) -m pytest tests/engine/test_faults.py
	@KUBEPORTS_FAULTS=$$(( $(N) * 20 )) $(PY) -m pytest tests/lab/test_probe.py

unit: setup ## the tests of the package that need neither the Pulumi engine nor the lab, in 2 minutes
	@$(PYTEST) -m "not slow" tests/unit tests/component tests/policy

lab: setup ## five nodes with real kernels on this machine, without a firewall and with it, and probed; as root
	@$(PY) -m sandbox.lab

lint: setup site ## ruff, mypy, the prose check (docs/terms.txt), and the site without a warning
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/codespell
	@$(PY) -m tests.prose

site: setup ## the documentation as a site: the pages and the API reference, into build/site
	@$(PY) -m sandbox.site

docs-serve: setup ## build the site and serve it on 127.0.0.1 until Ctrl-C: make docs-serve PORT=8000
	@$(PY) -m sandbox.site "$(or $(PORT),0)"

fmt: setup ## format the code
	@.venv/bin/ruff check --fix --quiet .
	@.venv/bin/ruff format --quiet .

golden: setup ## write the plans of the stack files and the schema anew: read the difference before you commit it
	@$(PY) -m tests.golden

docs: setup ## write docs/messages.md, and the output of kubeports that the README and docs/ show, anew
	@$(PY) -m tests.messages
	@$(PY) -m tests.pages

contract: setup ## write what other people's stacks hold on to anew (docs/upgrades.md): read the difference
	@$(PY) -m tests.contract

states: setup ## add the states of this version, before its release (docs/upgrades.md)
	@$(PY) -m tests.states

bench: setup ## the measurements of docs/speed.md
	@$(PY) -m bench

release: setup ## build and check what a release has, in build/release: make release TAG=v0.1.0
	@$(PY) -m sandbox.release "$(TAG)"

plan: .venv/plan ## print what STACK (default: openstack-dev) allows; no engine, no account
	@.venv/bin/kubeports plan -s "$(STACK)"

preview up refresh destroy: setup ## Pulumi on STACK (default: openstack-dev); up and destroy ask first, unless CONFIRM=yes
	@$(PY) -m sandbox $@ "$(STACK)"

sandbox-up: setup ## an OpenStack on this machine that stays, for preview and up of every clone of yours
	@$(PY) -m sandbox openstack-up

sandbox-down: setup ## end it
	@$(PY) -m sandbox openstack-down

COMPILE = uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11
pins: ## compile requirements*.txt anew from components/pyproject.toml and requirements-dev.in (needs uv)
	{ echo "# Compiled from components/pyproject.toml by make pins."; echo "-e ./components"; \
	  $(COMPILE) --all-extras components/pyproject.toml; } > requirements.txt.new
	mv requirements.txt.new requirements.txt
	{ echo "# Compiled from requirements-dev.in by make pins."; \
	  $(COMPILE) --constraint <(grep -v '^-e' requirements.txt) requirements-dev.in; } > requirements-dev.txt.new
	mv requirements-dev.txt.new requirements-dev.txt
