# Detour: `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

include mk/flags.mk
include mk/build.mk
include mk/test.mk
include mk/fuzz.mk
include mk/lint.mk
include mk/install.mk

LAB ?= three-site
PLANE ?= userspace

.PHONY: help deps demo lab clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  make %-16s %s\n", $$1, $$2}' \
		$(filter Makefile %.mk,$(MAKEFILE_LIST))
	@echo
	@echo "  V=1 shows the commands; BUILD=dir puts the output elsewhere; SAN=1 builds with ASan and UBSan."

deps: ## install with apt what building and the labs need and lack
	@mk/deps.sh build lab

demo: deps ## install what is missing, build, run the three-site lab to its result
	@$(MAKE) --no-print-directory all
	@labs/run three-site --again --bin $(BIN)

lab: deps ## run one lab: make lab LAB=three-site [RUNS=20] [PLANE=kernel]
	@[ $(PLANE) != kernel ] || mk/deps.sh uml
	@$(MAKE) --no-print-directory all
	@labs/run $(LAB) --plane $(PLANE) $(if $(RUNS),--runs $(RUNS)) --bin $(BIN)

clean: ## remove everything that was built
	rm -rf $(BUILD)
