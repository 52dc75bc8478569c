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
.PHONY: help venv tree demo test test-thorough test-core lint ruff mypy yamllint ansible-lint sanity docs-lint changelog-lint \
	reuse package conformance molecule node bench clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(READY)  ## make .venv with everything the other targets need

# $(call make-venv,FOLDER,WHAT TO INSTALL): pip tells what it does, for it takes minutes.
define make-venv
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x")'
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -m pip install --disable-pip-version-check $(2)
endef

$(READY): requirements/dev.txt requirements/test.txt meta/requirements.txt
	$(call make-venv,$(VENV),-r requirements/dev.txt)
	@touch $@

# The collection under the path that its name asks for, for everything that imports or runs it.
tree: $(COLLECTION)

$(COLLECTION):
	@mkdir -p $(dir $@)
	@ln -sfn $(CURDIR) $@

demo: $(READY) $(COLLECTION)  ## provision examples/guests.yml on an embedded node, twice
	@python tools/demo.py

test: $(READY) $(COLLECTION)  ## the test suite, with a bounded form of the tests of faults
	python -m $(PYTEST) -m 'not thorough' $(TESTS)

test-thorough: $(READY) $(COLLECTION)  ## what the test suite leaves out: runs killed at every moment, any list of guests
	python -m $(PYTEST) -m thorough $(TESTS)

JOBS ?= 2
TESTS ?=
PYTEST := pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --timeout 600

CORE ?= 2.18
CORE_VENV = $(CURDIR)/.cache/core-$(CORE)-$(notdir $(PYTHON))
test-core: $(CORE_VENV)/.ready $(COLLECTION)  ## unit and integration tests with CORE=2.21 PYTHON=python3.13
	PATH=$(CORE_VENV)/bin:$$PATH $(CORE_VENV)/bin/python -m $(PYTEST) -m 'not thorough' $(or $(TESTS),tests/unit tests/integration)

$(CORE_VENV)/.ready: requirements/test.txt meta/requirements.txt
	$(call make-venv,$(CORE_VENV),$(if $(PRE),--pre) -r requirements/test.txt 'ansible-core==$(CORE).*')
	@touch $@

lint: ruff mypy yamllint ansible-lint docs-lint changelog-lint reuse package sanity  ## every check but the tests

ruff: $(READY)  ## style and common mistakes
	ruff check --quiet .

mypy: $(READY) $(COLLECTION)  ## types, strict
	cd $(TREE) && MYPYPATH=$(TREE) mypy --config-file $(CURDIR)/pyproject.toml --no-error-summary \
		ansible_collections/pve/provision/plugins

yamllint: $(READY)  ## YAML
	yamllint --strict .

ansible-lint: $(READY) $(COLLECTION)  ## playbooks and roles, profile production
	ansible-lint -q --offline --profile production

docs-lint: $(READY) $(COLLECTION)  ## module documentation and its references
	cd $(COLLECTION) && antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self \
		--check-extra-docs-refs .

changelog-lint: $(READY)  ## changelog fragments
	antsibull-changelog lint

PACKAGE_VENV := $(CURDIR)/.cache/package/venv
reuse: $(PACKAGE_VENV)/.ready  ## copyright and licence of every file
	@$(PACKAGE_VENV)/bin/reuse lint --quiet || $(PACKAGE_VENV)/bin/reuse lint

package: $(PACKAGE_VENV)/.ready  ## build the tarball, and have galaxy-importer and ansible-builder read it
	@PATH=$(PACKAGE_VENV)/bin:$$PATH python tools/package.py

$(PACKAGE_VENV)/.ready: requirements/package.txt
	$(call make-venv,$(PACKAGE_VENV),-r requirements/package.txt)
	@touch $@

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

bench: $(READY) $(COLLECTION)  ## measure, and write the tables of docs/benchmarks.md
	python -m pytest -q -s tests/bench/bench_*.py

clean:  ## remove what these targets made
	rm -rf .venv .build .cache .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage tests/output
