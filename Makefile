# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every target does its own set-up: python3 (3.11 or newer, with venv), git and make are enough; no root.
# The same targets run on a laptop and in CI.

PYTHON ?= python3
TREE := $(CURDIR)/.build
COLLECTION := $(TREE)/ansible_collections/pve/provision
VENV := $(CURDIR)/.venv
READY := $(VENV)/.ready

export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := $(TREE):$(CURDIR)/extensions
export ANSIBLE_COLLECTIONS_PATH := $(TREE)
export ANSIBLE_NOCOWS := 1
export ANSIBLE_LOCALHOST_WARNING := 0

.DEFAULT_GOAL := help
.PHONY: help venv tree demo test lint ruff mypy yamllint ansible-lint sanity docs-lint changelog-lint \
	conformance molecule node bench clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(READY)  ## make .venv with everything the other targets need

$(READY): requirements/dev.txt meta/requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x")'
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

# The collection under the path that its name asks for, for everything that imports or runs it.
tree: $(COLLECTION)

$(COLLECTION):
	@mkdir -p $(dir $@)
	@ln -sfn $(CURDIR) $@

demo: $(READY) $(COLLECTION)  ## provision examples/guests.yml on an embedded node, twice
	@python tools/demo.py

test: $(READY) $(COLLECTION)  ## the whole test suite
	python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --timeout 180 $(TESTS)

JOBS ?= 2
TESTS ?=

lint: ruff mypy yamllint ansible-lint docs-lint changelog-lint sanity  ## every check that reads and does not run

ruff: $(READY)  ## style and common mistakes
	ruff check --quiet .

mypy: $(READY) $(COLLECTION)  ## types, strict
	cd $(TREE) && MYPYPATH=$(TREE) mypy --config-file $(CURDIR)/pyproject.toml --no-error-summary \
		ansible_collections/pve/provision/plugins/module_utils

yamllint: $(READY)  ## YAML
	yamllint --strict .

ansible-lint: $(READY) $(COLLECTION)  ## playbooks and roles, profile production
	ansible-lint -q --offline --profile production

docs-lint: $(READY) $(COLLECTION)  ## module documentation and its references
	cd $(COLLECTION) && antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self \
		--check-extra-docs-refs .

changelog-lint: $(READY)  ## changelog fragments
	antsibull-changelog lint

sanity: $(READY)  ## ansible-test sanity, no ignore lines
	python tools/sanity.py

TRANSCRIPTS ?=
REPORT ?=
conformance: $(READY) $(COLLECTION)  ## embedded node against recorded answers: TRANSCRIPTS=DIR REPORT=FILE
	@python -m tests.conformance $(if $(TRANSCRIPTS),--transcripts '$(TRANSCRIPTS)') $(if $(REPORT),--report '$(REPORT)')

molecule: $(READY) $(COLLECTION)  ## the scenario extensions/molecule/default
	cd extensions && molecule test

LATENCY ?= none
node: $(READY) $(COLLECTION)  ## keep an embedded node running: LATENCY=none or realistic
	@mkdir -p .cache && python -m embedded_node --root .cache/node --latency $(LATENCY)

bench: $(READY) $(COLLECTION)  ## measure
	python -m pytest -q -s tests/bench/bench_*.py

clean:  ## remove what these targets made
	rm -rf .venv .build .cache .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage tests/output
