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
COMMUNITY := $(CURDIR)/.cache/community

export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := $(TREE):$(CURDIR)/extensions
export ANSIBLE_COLLECTIONS_PATH := $(TREE)
export ANSIBLE_NOCOWS := 1
export ANSIBLE_LOCALHOST_WARNING := 0
# Images of containers forbid Python to keep what it has compiled; the tests start the same programs thousands of times.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv tree demo apps test community test-thorough boot browser test-core lint checks ruff mypy yamllint ansible-lint \
	sanity sanity-pylint sanity-others docs docs-lint changelog-lint schema surveys reuse package conformance molecule node bench recording clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(READY)  ## make .venv with everything the other targets need

# LOCKED=1: the very files that were there when `make lock` was run last.
LOCKED ?=
requires = $(if $(LOCKED),--require-hashes -r requirements/$(1).lock,-r requirements/$(1).txt)

# $(call make-venv,FOLDER,WHAT TO INSTALL): pip tells what it does, for it takes minutes.
define make-venv
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x")'
	@test ! -L $(1) || { echo "$(1) is a link, and what it leads to is not emptied: remove the link"; exit 1; }
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -m pip install --disable-pip-version-check $(2)
endef

$(READY): requirements/dev.txt requirements/test.txt meta/requirements.txt
	$(call make-venv,$(VENV),$(call requires,dev))
	@touch $@

# The collection under the path that its name asks for, for everything that imports or runs it.
tree: $(COLLECTION)

$(COLLECTION):
	@mkdir -p $(dir $@)
	@ln -sfn $(CURDIR) $@

RUNTIME ?= scripted
demo: $(READY) $(COLLECTION)  ## provision examples/guests.yml on an embedded node, twice; RUNTIME=lxc: examples/web.yml, really
	@python tools/demo.py --runtime $(RUNTIME)

APPS ?=
apps: $(READY) $(COLLECTION)  ## really install applications in real containers, figures into the docs: APPS="nginx redis"
	@python tools/apps.py $(APPS)

test: $(READY) $(COLLECTION)  ## the test suite, with a bounded form of the tests of faults
	python -m $(PYTEST) -m 'not thorough' $(TESTS)

community: $(COMMUNITY)/.ready  ## community.proxmox alone, for the test of its connection: without it that is skipped

$(COMMUNITY)/.ready: $(READY) requirements/community.txt tools/community.py
	python tools/community.py $(COMMUNITY)

test-thorough: $(READY) $(COLLECTION)  ## what the test suite leaves out: runs killed at every moment, any list of guests
	python -m $(PYTEST) -m thorough $(TESTS)

boot: $(READY) $(COLLECTION)  ## really boot a VM that vm_create made; needs root, QEMU and mmdebstrap
	python -m pytest -q -s -m thorough tests/boot

browser: $(READY) $(COLLECTION)  ## the report of a run in a real browser; needs Chromium and npm
	npm install --silent --no-fund --no-audit --prefix .cache/browser playwright-core@1 axe-core@4
	python -m pytest -q -m thorough tests/browser

# Tests wait for a third of their time, so there are half as many workers more than cores.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)
TESTS ?=
PYTEST := pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --timeout 600

CORE ?= 2.18
CORE_VENV = $(CURDIR)/.cache/core-$(CORE)-$(notdir $(PYTHON))
test-core: $(CORE_VENV)/.ready $(COLLECTION)  ## unit and integration tests with CORE=2.21 PYTHON=python3.13
	PATH=$(CORE_VENV)/bin:$$PATH $(CORE_VENV)/bin/python -m $(PYTEST) -m 'not thorough' $(or $(TESTS),tests/unit tests/integration)

$(CORE_VENV)/.ready: requirements/test.txt meta/requirements.txt
	$(call make-venv,$(CORE_VENV),$(if $(PRE),--pre) -r requirements/test.txt 'ansible-core==$(CORE).*')
	@touch $@

lint: checks package  ## every check but the tests

# The longest come first, so that none is left alone at the end where they run side by side.
checks: sanity ansible-lint docs docs-lint mypy changelog-lint reuse yamllint ruff

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

DOCS_VENV := $(CURDIR)/.cache/docs/venv
docs: $(DOCS_VENV)/.ready $(COLLECTION)  ## build the documentation site, .cache/docs/html/index.html
	@PATH=$(DOCS_VENV)/bin:$$PATH python tools/docs.py

$(DOCS_VENV)/.ready: requirements/docs.txt
	$(call make-venv,$(DOCS_VENV),$(call requires,docs))
	@touch $@

changelog-lint: $(READY)  ## changelog fragments
	antsibull-changelog lint

schema: $(READY) $(COLLECTION)  ## write docs/guests.schema.json, and the tables of docs/applications.md
	python tools/guests_schema.py
	python tools/applications.py

surveys: $(READY) $(COLLECTION)  ## write playbooks/vars/awx_surveys.json from the tables of options
	python tools/awx_surveys.py

PACKAGE_VENV := $(CURDIR)/.cache/package/venv
reuse: $(PACKAGE_VENV)/.ready  ## copyright and licence of every file
	@$(PACKAGE_VENV)/bin/reuse lint --quiet || $(PACKAGE_VENV)/bin/reuse lint

package: $(PACKAGE_VENV)/.ready  ## build the tarball, and have galaxy-importer and ansible-builder read it
	@PATH=$(PACKAGE_VENV)/bin:$$PATH python tools/package.py

$(PACKAGE_VENV)/.ready: requirements/package.txt
	$(call make-venv,$(PACKAGE_VENV),$(call requires,package))
	@touch $@

RELEASE_VENV := $(CURDIR)/.cache/release/venv
$(RELEASE_VENV)/.ready: requirements/release.txt
	$(call make-venv,$(RELEASE_VENV),$(call requires,release))
	@touch $@

lock: $(RELEASE_VENV)/.ready  ## write requirements/*.lock: what development and a release take, with the digests of all files
	@PATH=$(RELEASE_VENV)/bin:$$PATH sh tools/lock.sh

sbom: $(RELEASE_VENV)/.ready  ## write .cache/release/sbom.json, the bill of materials of requirements/dev.lock
	$(RELEASE_VENV)/bin/cyclonedx-py requirements --of JSON -o .cache/release/sbom.json requirements/dev.lock

sanity: sanity-pylint sanity-others  ## ansible-test sanity, no ignore lines

# The one takes as long as all others.
sanity-pylint: $(READY)
	python tools/sanity.py --test pylint

sanity-others: $(READY)
	python tools/sanity.py --skip-test pylint

TRANSCRIPTS ?=
REPORT ?=
conformance: $(READY) $(COLLECTION)  ## embedded node against recorded answers: TRANSCRIPTS=DIR REPORT=FILE
	@python -m tests.conformance $(if $(TRANSCRIPTS),--transcripts '$(TRANSCRIPTS)') $(if $(REPORT),--report '$(REPORT)')

molecule: $(READY) $(COLLECTION)  ## the scenario extensions/molecule/default
	cd extensions && molecule test

LATENCY ?= none
node: $(READY) $(COLLECTION)  ## keep an embedded node running: LATENCY=none or realistic, RUNTIME=scripted or lxc
	@mkdir -p .cache && python -m embedded_node --root .cache/node --latency $(LATENCY) --runtime $(RUNTIME)

bench: $(READY) $(COLLECTION)  ## measure, and write the tables of docs/benchmarks.md
	python -m pytest -q -s tests/bench/bench_*.py

recording: $(READY) $(COLLECTION)  ## run the demo, and draw it for the README
	@python tools/recording.py

clean:  ## remove what these targets made
	rm -rf .venv .build .cache .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage tests/output
