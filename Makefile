# Every rung of the test ladder is a target here; .ci/run climbs them in this order.
HELPERS  := sidecar-logshipper ambassador-proxy adapter-metrics
ARCH     ?= $(shell go env GOARCH)
VERSION  ?= dev
FUZZTIME ?= 30s
SEEDS    ?= 2000
KUBELAB  ?= $(wildcard ../shared/tools/kubelab)
LDFLAGS  := -s -w -buildid= -X github.com/pod-helpers/pod-helpers/internal/kit.version=$(VERSION)
# Code that runs once, or once a scrape, is not worth its inlined copies: a quarter of a megabyte of each image.
COLD     := $(foreach m,google.golang.org/protobuf/... go.yaml.in/... github.com/prometheus/... vendor/... \
	encoding/asn1 log/slog math/big runtime/pprof,-gcflags='$(m)=-l')
# So are TLS handshakes and jq in the adapter, which has no other room for the server's half of TLS: a third of a megabyte.
COLD_adapter-metrics := $(foreach m,crypto/tls crypto/x509/... github.com/itchyny/...,-gcflags='$(m)=-l')
# No helper uses net/http's HTTP/2: two never speak it, the ambassador has its own. Half a megabyte.
TAGS_sidecar-logshipper := nethttpomithttp2
TAGS_ambassador-proxy   := nethttpomithttp2
TAGS_adapter-metrics    := nethttpomithttp2
# What these tags hide from the usual build, and where it is.
TAGS     := full,docker,e2e
TAGGED   := ./sidecar-logshipper/output/... ./examples/docker ./examples/e2e
GO_TEST  := go test -json -timeout 8m
TALLY    := go run ./internal/tools/tally

.PHONY: help demo build test lint fuzz test-real soak images e2e-docker e2e bench bench-logshipper bench-ambassador bench-adapter kind-demo clean FORCE

help: ## this text
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## see all three helpers work, as local processes, in half a minute (KEEP=1 stays up)
	@go build -o bin/demo ./examples/demo && exec bin/demo # go run would end a Ctrl-C with an error

build: $(HELPERS:%=bin/$(ARCH)/%) ## the three binaries into bin/

bin/$(ARCH)/%: FORCE
	@CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -tags '$(TAGS_$*)' $(COLD) $(COLD_$*) -ldflags '$(LDFLAGS)' -o $@ ./$*

bin/$(ARCH)/demo: FORCE
	@CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./examples/demo

FORCE:

test: lint ## rung 1: everything that needs only Go, with the race detector
	@$(GO_TEST) -race -skip Real work | $(TALLY)
	@$(GO_TEST) -run Allocat $$(git grep -l AllocsPerRun '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,') | $(TALLY) # exact without the detector only
	@$(GO_TEST) -tags full -run 'Full|Kafka|Output.*/grpc' ./sidecar-logshipper/output/... | $(TALLY)

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt -w:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	@go vet work
	@go vet -tags $(TAGS) $(TAGGED)
	@go tool staticcheck work
	@go tool staticcheck -tags $(TAGS) $(TAGGED)

fuzz: ## rung 2: every fuzz target for FUZZTIME
	@go run ./internal/tools/fuzz -time $(FUZZTIME)

test-real: ## rung 2: against real servers; installs Debian packages when run as root
	@bash .ci/packages real
	@REQUIRE_REAL=1 $(GO_TEST) -run Real -p 1 work | REQUIRE_REAL=1 $(TALLY)
	@REQUIRE_REAL=1 $(GO_TEST) -tags full -run 'Real_TheCollector.*GRPC' ./sidecar-logshipper/output | REQUIRE_REAL=1 $(TALLY)

soak: ## the logshipper's model test with SEEDS seeds
	@go test ./sidecar-logshipper -run Model -timeout 0 -parallel 6 -seeds $(SEEDS)

images: build bin/$(ARCH)/demo ## three FROM scratch images, and their sizes; and the image of the example Pods' app
	@for d in $(HELPERS) examples/demo; do \
		docker build -q --target image --build-arg ARCH=$(ARCH) --build-arg VERSION=$(VERSION) -f $$d/Dockerfile -t pod-helpers/$${d##*/}:$(VERSION) . \
			>bin/build.log 2>&1 || { cat bin/build.log; exit 1; }; done
	@docker image ls $(HELPERS:%=--filter reference=pod-helpers/%:$(VERSION)) --format '{{.Repository}}:{{.Tag}}  {{.Size}}'

e2e-docker: images ## rung 3: the Pod made of plain containers, and what the README does with docker
	@examples/docker/run-pod.sh
	@$(GO_TEST) -count=1 -tags docker ./examples/docker/... | REQUIRE_REAL=1 $(TALLY)

e2e: images ## rung 4: the claims on a Kubernetes cluster (KUBECONFIG, else one of its own)
	@bash .ci/packages e2e
	@KUBELAB='$(abspath $(KUBELAB))' $(GO_TEST) -count=1 -tags e2e ./examples/e2e/... | REQUIRE_REAL=1 $(TALLY)

bench: bench-logshipper bench-ambassador bench-adapter ## rung 5: side by side with the peers, by hand

bench-logshipper bench-ambassador bench-adapter: bench-%: build
	@bash .ci/packages real && go run ./bench/$* -binary $(abspath bin/$(ARCH)/$(filter %$* $*%,$(HELPERS))) $(ARGS)

kind-demo: images ## the Pods on kind (KIND_NODE_IMAGE picks another node image)
	@kind/demo.sh

clean: ## what make has built
	@rm -rf bin dist .cache
