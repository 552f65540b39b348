# On a fresh machine with Go and Node, `make run` and `make test` work as they are:
# what they need is built or installed first, once.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
# The machine's cores are used inside each step (go, vite); steps side by side would only disturb each other's timing.
.NOTPARALLEL:
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := .bin/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK      := .bin/govulncheck

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_LDFLAGS  := -s -w -X main.version=$(VERSION)
BINARY      := bin/omniservice
IMAGE       ?= omniservice:$(VERSION)

# TESTFLAGS are added to every go test: make test-go TESTFLAGS='-run TestClaim -v'
TESTFLAGS   ?=
TESTTIMEOUT ?= 20m
GO_TEST     := go test -race -shuffle=on -timeout $(TESTTIMEOUT) $(TESTFLAGS)
FUZZTIME    ?= 30s
BENCH       ?= .
BENCHTIME   ?= 1s
HUB         ?= .
SOAKMINUTES ?= 60
OUTAGE      ?= 10m
SOCKETS     ?= 1000

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## ---- Build and run

# Directories count as sources too: their time changes when a file is added or removed.
WEB_SOURCES := $(shell find web -mindepth 1 \( -name node_modules -o -path web/dist -o -name coverage -o -name '*.go' \) -prune -o -print 2>/dev/null)
WEB_LOCK    := $(wildcard web/package.json web/package-lock.json web/*/package.json)
WEB_BUILT   := $(and $(wildcard web/dist/console/index.html),$(wildcard web/dist/widget/*))
WEB_DEPS_IN := $(wildcard web/node_modules/.package-lock.json)

.make:
	@mkdir -p $@

.make/web-deps: $(WEB_LOCK) $(if $(WEB_DEPS_IN),,FORCE) | .make
	@echo "==> installing web dependencies"
	cd web && npm ci --no-audit --no-fund
	@touch $@

.make/web-build: $(WEB_SOURCES) .make/web-deps $(if $(WEB_BUILT),,FORCE) | .make
	@echo "==> building the web programs"
	cd web && npm run build
	@touch $@

.PHONY: FORCE
FORCE:

.PHONY: web
web: .make/web-build ## Build console and widget into web/dist, if their sources changed

.PHONY: build
build: web ## Build bin/omniservice with console and widget inside
	CGO_ENABLED=0 go build -trimpath -ldflags '$(GO_LDFLAGS)' -o $(BINARY) ./cmd/omniservice

.PHONY: run
run: build ## Start the demo on http://localhost:8080 (ARGS='--addr :9090' adds flags)
	@OMNI_DATA_DIR="$${OMNI_DATA_DIR:-$(CURDIR)/data}" exec $(BINARY) serve --demo $(ARGS)

.PHONY: image
image: ## Build the container image
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: clean
clean: ## Remove what was built (not data/)
	rm -rf bin .bin .make web/node_modules web/*/node_modules
	find web/dist -mindepth 1 ! -name .keep -delete

## ---- Source

OPENAPI   := web/shared/openapi.yaml
API_TYPES := web/shared/src/api.gen.ts

# Both files are replaced only when their content changed, so that the web programs are not built again for nothing.
.PHONY: generate
generate: .make/web-deps ## Write what is made from the source: OpenAPI document, TypeScript types, tables and examples of documents, wrappers
	go generate ./...
	@tools/replace.sh $(OPENAPI) go run ./cmd/omniservice openapi
	@tools/replace.sh $(API_TYPES) web/node_modules/.bin/openapi-typescript $(OPENAPI)
	go test ./app -run '^TestDataDocIsFresh$$' -count=1 -write-docs
	go test ./internal/doccheck -run '^TestExamplesAreFresh$$' -count=1 -write-docs

.PHONY: fmt
fmt: $(GOLANGCI) .make/web-deps ## Format Go and web sources
	$(GOLANGCI) fmt
	cd web && node_modules/.bin/biome format --write .

.PHONY: tidy
tidy: ## Tidy the Go modules
	go mod tidy
	cd tools && go mod tidy
	cd $(FERRETTEST) && go mod tidy

.PHONY: lint
lint: $(GOLANGCI) .make/web-deps ## Lint Go and web sources
	$(GOLANGCI) run ./...
	cd web && npm run lint

# Its dependencies are many and none of ours: built on its own, outside every go.mod. The module proxy's checksums pin it.
$(GOLANGCI):
	@echo "==> building golangci-lint $(GOLANGCI_VERSION) (once, one to two minutes)"
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv .bin/golangci-lint $@

$(GOVULNCHECK): tools/go.mod tools/go.sum
	cd tools && GOBIN=$(CURDIR)/.bin go install tool
	@touch $@

## ---- Test

.PHONY: test
test: test-programs build test-go test-mongo test-web e2e-browser ## Run every test: Go (with e2e), MongoDB store, web units, browser

.PHONY: test-go
test-go: web ## Run the Go tests, e2e among them, with the race detector
	$(GO_TEST) ./...

# FerretDB speaks MongoDB's protocol over SQLite. It has a module of its own: its dependencies are none of ours. No race detector
# here: it would watch over FerretDB more than over anything else, and takes many times as long.
FERRETTEST := store/mongostore/ferrettest

.PHONY: test-mongo
test-mongo: ## Run the store's suite on the MongoDB store, over FerretDB in process
	cd $(FERRETTEST) && go vet && go test -shuffle=on -timeout $(TESTTIMEOUT) $(TESTFLAGS)
	@[[ -n "$${OMNI_TEST_MONGO:-}" ]] || echo "NOT RUN: the store's suite on a real MongoDB, which OMNI_TEST_MONGO would name"

.PHONY: test-web
test-web: .make/web-deps ## Run the web programs' unit tests
	cd web && npm test

.PHONY: e2e
e2e: web ## Run only the tests that drive the whole program
	$(GO_TEST) ./e2e/...

.PHONY: e2e-browser
e2e-browser: test-programs build ## Click through console and widget in headless Chromium
	cd web && OMNI_BINARY=$(CURDIR)/$(BINARY) OMNI_CHROMIUM="$$(../tools/test-programs.sh --chromium)" npm run e2e

.PHONY: test-programs
test-programs: ## Install what the tests drive, where it is missing: C compiler, Chromium, Redis
	@tools/test-programs.sh

.PHONY: check
check: ## Everything that must hold before a change lands; CI runs this and nothing else
	@tools/no-diff.sh $(MAKE) generate fmt tidy
	@$(MAKE) lint
	@$(MAKE) test
	@$(MAKE) vuln
	@echo "==> check passed"

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities in what we ship
	@tools/vuln.sh $(GOVULNCHECK)

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s); `make test` runs their seeds
	@grep -rnoE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' --exclude-dir=node_modules . | sed -E 's|^\./(.*)/[^/]*:[0-9]+:func |\1 |' | sort | \
	while read -r dir target; do \
		echo "==> $$dir $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "./$$dir" </dev/null; \
	done

.PHONY: bench
bench: web ## Run the benchmarks of the packages, then the load figures of the whole program
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -p 1 -timeout 60m $$(go list ./... | grep -v /e2e)
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 60m -v ./e2e/load/...

.PHONY: bench-hub
bench-hub: web ## Measure the hub's figures, H1 to H9 (HUB='fanout/redis' measures one of them)
	go test -run '^$$' -bench '^BenchmarkHub$$/$(HUB)' -benchtime 1x -timeout 60m -v ./e2e/load

.PHONY: outage
outage: web ## Run the tests of outages with OUTAGE (10m) instead of seconds without the store
	OMNI_OUTAGE=$(OUTAGE) go test -count=1 -timeout 4h -v -run 'TestR[5-8]_' ./e2e

.PHONY: storm
storm: web ## Rows of docs/performance.md at their size: R10 and R25 with SOCKETS (1000), R26 with 10,000
	OMNI_SOCKETS=$(SOCKETS) go test -count=1 -timeout 30m -v -run 'TestR(10|25)_' ./e2e
	go test -run '^$$' -bench '^BenchmarkHub$$/storm' -benchtime 1x -timeout 30m -v ./e2e/load

.PHONY: soak
soak: web ## Repeat the e2e tests, freshly shuffled, for SOAKMINUTES (60)
	@mkdir -p .make && go test -race -c -o .make/e2e.test ./e2e
	@end=$$(( $$(date +%s) + 60 * $(SOAKMINUTES) )); round=0; \
	while (( $$(date +%s) < end )); do \
		round=$$((round + 1)); echo "==> soak round $$round"; \
		(cd e2e && ../.make/e2e.test -test.shuffle=on -test.timeout=$(TESTTIMEOUT)); \
	done
