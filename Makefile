# Serin. "make help" lists what there is.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE   ?= $(or $(SERIN_CACHE),$(CURDIR)/.cache)
BIN     := $(CACHE)/bin
OUT     := $(CURDIR)/out
PROFILE ?= light
export SERIN_CACHE := $(CACHE)
# Serin's image, Kubernetes and the programs here are built with the same flags
# (and, where they can, of the same versions of modules), so that a package that
# they share is compiled once; and without what only a debugger reads, a seventh of
# the compiler's work (DEBUG=1 leaves it in).
#
# Compilers and linkers end soon: collecting what they leave is a ninth to a sixth of
# their work. With this they do not before they hold 2 GiB, where there is memory for
# two on each core, both of the machine and of the group that this runs in.
ROOMY       ?= $(shell { for have in $$(awk '/^MemAvailable/ { print $$2 "000" }' /proc/meminfo) \
	$$(grep -hs '^[0-9]*$$' /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes); do \
	[ "$$have" -ge $$(($$(nproc) * 4 + 4))000000000 ] || exit 0; done; [ "$$have" ] && echo yes; } 2>/dev/null)
ROOMY       := $(ROOMY)
UNCOLLECTED := $(if $(filter-out no 0,$(ROOMY)),GOGC=off GOMEMLIMIT=2GiB)
export ROOMY
BUILD_FLAGS := $(strip -buildvcs=false -trimpath $(if $(DEBUG),,-gcflags=all=-dwarf=false) $(if $(UNCOLLECTED),'-toolexec=env $(UNCOLLECTED)'))
# What you have set comes last and wins.
export GOFLAGS := $(if $(findstring $(BUILD_FLAGS),$(GOFLAGS)),$(GOFLAGS),$(strip $(BUILD_FLAGS) $(GOFLAGS)))
export CGO_ENABLED ?= 0
# The race detector alone needs cgo.
WITH_RACE := $(if $(RACE),CGO_ENABLED=1)

# Tools by what they are built of, so that a checkout of another commit finds its own.
GO_VERSION     := $(shell go env GOVERSION)
tool            = $(BIN)/$(shell cat e2e/tools/$(1)/go.{mod,sum} <(echo $(GO_VERSION)) | sha256sum | cut -c1-12)/$(1)
GOLANGCI_LINT  := $(call tool,golangci-lint)
CONTROLLER_GEN := $(call tool,controller-gen)
GOTESTSUM      := $(call tool,gotestsum)
SANDBOX        := $(BIN)/sandbox
# go test with a line for each package and all of its failures, into a file for the tally.
BY_PACKAGE     := $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg --jsonfile

# Packages of the main module; the tools and the example are modules of their own.
PACKAGES := ./...
# Unit tests in parts. Those whose names begin with TestHeavy or FuzzHeavy simulate,
# read or build much, and so do TestSerial and FuzzSerial, whose goroutines share
# nothing, or what quicker tests of their packages share under the race detector: these
# would take five times as long with it, and run without. "make unit" leaves all these
# out, "make heavy" runs them and nothing else, and a plain "go test" runs all.
HEAVY          := (Test|Fuzz)Heavy
SERIAL         := (Test|Fuzz)Serial
packages_of     = $(shell git grep --untracked -lE '^func $(1)' -- '*_test.go' | xargs -r dirname | sort -u | sed 's,^,./,')
# Many tests wait more than they compute, so more packages than cores run at a
# time. Nobody debugs these binaries: without symbols they are linked sooner. "make
# lint" vets them. For the race detector all is compiled once more: not inlined, that
# takes half as long, and the detector sees no fewer reads and writes.
SERIAL_FLAGS   := -vet=off -ldflags=-s -p 4 -timeout 30m $(if $(FRESH),-count 1)
UNIT_FLAGS     := $(if $(RACE),-race -gcflags=all='-l -dwarf=false') $(SERIAL_FLAGS)
# Tests of Git and of stores wait for a disk to have what nobody will read: their
# files are in memory where there is room and programs may run from there. What the
# compiler and the linker write stays where it was.
MEMORY          = $(shell d=/dev/shm; [ -w $$d ] && [ "$$(df -Pk $$d | awk 'NR == 2 { print $$4 }')" -gt 2097152 ] && \
	! grep -qE "^[^ ]+ $$d [^ ]+ [^ ]*noexec" /proc/mounts && echo $$d)
IN_MEMORY       = $(if $(MEMORY),GOTMPDIR=$${GOTMPDIR:-$${TMPDIR:-/tmp}} TMPDIR=$(MEMORY) )
# One package at a time: these share one cluster.
CLUSTER_TESTS := -vet=off -p 1 -count 1 -timeout 40m

# Becomes a command, with huge pages for every process as Debian's own kernels have it.
HUGE_PAGES_FOR := $(CURDIR)/e2e/sandbox/hugepages.sh
BESIDE         := $(CURDIR)/e2e/sandbox/beside.sh

# Without this line the first thing that a newcomer sees is Go at its downloads.
BUILDING := [ -d "$$(go env GOCACHE)/00" ] || echo "Go fetches and builds the modules of this program first: 2 to 5 minutes, once."

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | expand -t 18

## The two commands of the README

.PHONY: demo
demo: ## Show a release travel to production and a bad one come back (PROFILE=light|full, DEMO_KEEP=1; KUBECONFIG=file REGISTRY=host/path on a cluster of yours).
	@$(BUILDING)
	@$(HUGE_PAGES_FOR) go run ./e2e/demo --profile $(PROFILE) $(if $(filter command% environment%,$(origin KUBECONFIG)),--kubeconfig $(KUBECONFIG) --registry "$(REGISTRY)" --registry-push "$(REGISTRY_PUSH)" --prometheus "$(PROMETHEUS)")

.PHONY: test
test: ## Check everything that needs the light sandbox: style, unit and heavy tests, and beside them integration and scenarios.
	@$(BUILDING)
	@rm -rf $(OUT)/test && mkdir -p $(OUT)/test
	@status=0; \
	$(HUGE_PAGES_FOR) $(MAKE) --no-print-directory test-parts || status=$$?; \
	$(MAKE) --no-print-directory sandbox-down || status=$$?; \
	go run ./e2e/tally $(OUT)/test/*.json || status=$$?; \
	exit $$status

# The cluster's tests wait most of their time, and the code's compute: these take
# what processor time those leave. Both use the program that is built before.
.PHONY: test-parts
test-parts: $(GOTESTSUM)
	@$(BESIDE) code $(MAKE) --no-print-directory check unit heavy example RACE=1 -- $(MAKE) --no-print-directory integration scenarios

.PHONY: e2e
e2e: ## Check the full sandbox: Gitea, Flux and Traefik.
	@$(BUILDING)
	@rm -rf $(OUT)/e2e && mkdir -p $(OUT)/e2e
	@status=0; \
	$(HUGE_PAGES_FOR) $(MAKE) --no-print-directory e2e-tests || status=$$?; \
	$(MAKE) --no-print-directory sandbox-down || status=$$?; \
	go run ./e2e/tally $(OUT)/e2e/*.json || status=$$?; \
	exit $$status

## Parts of them

.PHONY: check
check: fmt-check lint generate-check ## Formatting, vet and the other linters, generated files.

.PHONY: fmt-check
fmt-check:
	@echo "== formatting"; unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt these files: $$unformatted"; exit 1; fi

# What "go vet" does is done here, for the tests as well: in an empty cache "go vet"
# and "go test" would each load all that Serin is built of once more.
.PHONY: lint
lint: $(GOLANGCI_LINT) ## golangci-lint: vet, and among the rest the rule of who may import whom.
	@echo "== vet and the other linters"; $(UNCOLLECTED) $(GOLANGCI_LINT) run

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Write the deep copies and the CRDs anew.
	$(CONTROLLER_GEN) object paths=./api/... crd output:crd:dir=config/crd

.PHONY: generate-check
generate-check: $(CONTROLLER_GEN)
	@echo "== generated files"; rm -rf $(OUT)/crd; mkdir -p $(OUT)/crd; \
	$(CONTROLLER_GEN) paths=./api/... crd output:crd:dir=$(OUT)/crd; \
	for f in $(OUT)/crd/*.yaml; do cmp $$f config/crd/$$(basename $$f) || { echo "run make generate"; exit 1; }; done

.PHONY: unit
unit: $(GOTESTSUM) ## The quick part of the unit tests (RACE=1 with the race detector, FRESH=1 also what has not changed).
	@echo "== unit"; mkdir -p $(OUT)/test
	@$(WITH_RACE) $(IN_MEMORY)$(BY_PACKAGE) $(OUT)/test/1-unit.json -- $(UNIT_FLAGS) -skip '^($(HEAVY)|$(SERIAL))' $(PACKAGES)

.PHONY: heavy
heavy: $(GOTESTSUM) ## The rest of them, which takes long (RACE and FRESH as well).
	@echo "== heavy"; mkdir -p $(OUT)/test
	@status=0; \
	$(IN_MEMORY)$(BY_PACKAGE) $(OUT)/test/2-serial.json -- $(SERIAL_FLAGS) -run '^$(SERIAL)' $(call packages_of,$(SERIAL)) || status=$$?; \
	$(WITH_RACE) $(IN_MEMORY)$(BY_PACKAGE) $(OUT)/test/3-heavy.json -- $(UNIT_FLAGS) -run '^$(HEAVY)' $(call packages_of,$(HEAVY)) || status=$$?; \
	exit $$status

.PHONY: example
example: $(GOTESTSUM) ## Tests of the example workload, a module of its own.
	@echo "== example"; mkdir -p $(OUT)/test
	@cd examples/ipfs-kit && $(BY_PACKAGE) $(OUT)/test/4-example.json -- -timeout 10m ./...

.PHONY: integration
# Some run Serin's program: compiled amid them, it would take the time that they have.
integration: $(GOTESTSUM) sandbox-bare ## Tests against the sandbox's API server, with Serin in the test's process.
	@echo "== integration"; mkdir -p $(OUT)/test; go build ./cmd/serin/...
	@set -a; . $(CACHE)/sandbox/environment; set +a; \
	$(BY_PACKAGE) $(OUT)/test/5-integration.json -- -tags integration -run Integration $(CLUSTER_TESTS) -parallel 6 ./controllers/... ./embedded/... ./traffic/... ./e2e/sandbox/...

.PHONY: scenarios
scenarios: $(GOTESTSUM) sandbox-up ## Scenarios in the light sandbox, with Serin in the cluster.
	@echo "== scenarios"; mkdir -p $(OUT)/test
	@$(GOTESTSUM) --format testname --jsonfile $(OUT)/test/6-scenarios.json -- -tags scenarios $(CLUSTER_TESTS) -parallel 4 ./e2e/scenarios/...

.PHONY: e2e-tests
e2e-tests: PROFILE := full
e2e-tests: $(GOTESTSUM) sandbox-up
	@echo "== gateway and forge"; mkdir -p $(OUT)/e2e
	@set -a; . $(CACHE)/sandbox/environment; set +a; \
	$(BY_PACKAGE) $(OUT)/e2e/1-adapters.json -- -tags e2e -run E2E $(CLUSTER_TESTS) ./forge/... ./traffic/... ./e2e/sandbox/... ./e2e/templates/...
	@echo "== story"
	@$(GOTESTSUM) --format testname --jsonfile $(OUT)/e2e/2-story.json -- -tags e2e $(CLUSTER_TESTS) ./e2e/scenarios/...

.PHONY: servers
servers: ## Check metric sources against Prometheus, VictoriaMetrics, Thanos and Mimir, built from their modules (ONLY=name of one).
	@rm -rf $(OUT)/servers && mkdir -p $(OUT)/servers
	@status=0; \
	$(HUGE_PAGES_FOR) $(MAKE) --no-print-directory servers-tests || status=$$?; \
	go run ./e2e/tally $(OUT)/servers/*.json || status=$$?; \
	exit $$status

# Most of these tests wait for scrapes, so more of them than cores run at a time.
.PHONY: servers-tests
servers-tests: $(GOTESTSUM) $(SANDBOX)
	@echo "== builds of the servers"
	@$(SANDBOX) build --profile servers
	@echo "== metric servers"
	@$(GOTESTSUM) --format testname --jsonfile $(OUT)/servers/1-servers.json -- -tags servers -run 'Servers$(ONLY)' -vet=off -parallel 16 -count 1 -timeout 60m ./e2e/servers/...

.PHONY: bench
bench: ## Measure what the documents claim; also written to out/bench.json. The last parts bring the sandbox up, and down again.
	@go run ./e2e/bench

.PHONY: plots
plots: ## Draw the plots of docs/guarantees.md and write its table, from seeds.
	@go run ./e2e/bench plots

.PHONY: docs
docs: ## Write docs/reference.md anew from the CRDs.
	go test ./e2e/docs -count 1 -update

## The sandbox

.PHONY: sandbox-up
sandbox-up: $(SANDBOX) ## Bring the sandbox up (PROFILE=light|full); up twice is up once.
	@$(HUGE_PAGES_FOR) $(SANDBOX) up --profile $(PROFILE)

# Serin in the cluster would carry out what is meant for the one in a test.
.PHONY: sandbox-bare
sandbox-bare: sandbox-up
	@found=$$($(CACHE)/sandbox/bin/kubectl --kubeconfig $(CACHE)/sandbox/kubeconfig get namespace serin-system --ignore-not-found -o name); \
	if [ -n "$$found" ]; then echo "Serin runs in the sandbox: it begins anew"; \
	$(MAKE) --no-print-directory sandbox-down && $(MAKE) --no-print-directory sandbox-up; fi

.PHONY: sandbox-down
sandbox-down: $(SANDBOX) ## Stop the sandbox and leave nothing.
	@$(SANDBOX) down

.PHONY: sandbox-status
sandbox-status: $(SANDBOX) ## Say what of the sandbox runs.
	@$(SANDBOX) status

.PHONY: $(SANDBOX)
$(SANDBOX):
	@go build -o $@ ./e2e/sandbox/cmd/sandbox

## Tools, kept in the cache

# Of the same versions of modules as Serin: what they share is compiled once. The
# sandbox's program, which builds the other tools, takes longer to compile than these.
$(GOLANGCI_LINT) $(CONTROLLER_GEN) $(GOTESTSUM):
	@echo "building $(@F) ($(if $(filter golangci-lint,$(@F)),2 to 4 minutes,up to a minute), once)"; mkdir -p $(@D); \
	cd e2e/tools/$(@F) && go build -o $@.new "$$(go list tool)" && mv $@.new $@

.PHONY: image
image: ## Build Serin's binary as the image holds it, in out/serin.
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $(OUT)/serin ./cmd/serin

.PHONY: clean
clean: ## Remove what was built, but not the cache.
	rm -rf $(OUT)
