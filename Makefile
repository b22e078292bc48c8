# SPDX-License-Identifier: GPL-3.0-or-later
# Every target sets up what it needs on a fresh Debian 12 machine, as root, and is safe to run again.

SHELL := /bin/bash
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help demo demo-kubernetes test prove bench lab lab-kubernetes lab-break lab-mend lab-faults lab-down clean-cache clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: ## three illnesses healed in front of you (HAND=1: by a command; KEEP=1 leaves the lab up)
	@tools/setup demo
	@KEEP=$(KEEP) HAND=$(HAND) $(PYTHON) -m lab.demo

demo-kubernetes: ## EI on a real Kubernetes: scaled by load, healed where Kubernetes does not heal (KEEP=1 leaves it up)
	@tools/setup test
	@KEEP=$(KEEP) $(PYTHON) -m lab.kubernetes.demo

test: ## all tests and gates; TESTS=path runs a part
	@tools/setup test
	@tests/run $(TESTS)

prove: ## the long, seeded campaign (SEED=1), then all scenarios, three seeds each; writes build/*/report.json
	@tools/setup test
	@SEED=$(SEED) $(PYTHON) -m tests.campaign; first=$$?; \
	SEED=$(SEED) $(PYTHON) -m tests.campaign.scenarios && exit $$first

bench: ## ratios side by side (ROWS=name,name: only these); writes build/bench/report.json
	@tools/setup bench
	@$(PYTHON) -m tests.bench $(if $(ROWS),"$(ROWS)")

lab: ## start the lab's farm
	@tools/setup demo
	@lab/up

lab-kubernetes: ## start the lab's Kubernetes; the first time it is built from its sources, up to 15 minutes
	@tools/setup test
	@lab/kubernetes/up

lab-faults: ## list the faults and how each is undone
	@lab/faults --list

lab-break: ## make a node ill: NODE=ei1 FAULT=memory
	@lab/break "$(NODE)" "$(FAULT)"

lab-mend: ## undo every fault of a node: NODE=ei1
	@lab/mend "$(NODE)"

lab-down: ## remove the lab's machines, bridge and processes
	@lab/down

clean-cache: ## remove the cached base root file system and the tests' downloads
	@lab/clean-cache
	rm -rf /var/cache/selfheal-test

clean: lab-down ## remove the lab, the virtual environment and all that was built
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible
