# Everything here needs Go, and `interop` and `check` also Node.js. `make help` lists the targets.

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
APIDIFF     := golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
# A number of runs, not a time: before Go 1.27 a time that ends while a worker is busy
# fails the target (go.dev/issue/75804). For a longer hunt: make fuzz FUZZTIME=10m
FUZZTIME    ?= 100000x
LIBRARY      = $(shell go list ./... | grep -v -e /examples/ -e /internal/archtest -e /internal/jsonrpc/corpus | paste -sd, -)
MODULES      = $(patsubst %/go.mod,%,$(wildcard */go.mod */*/go.mod */*/*/go.mod))
INTEROP      = $(filter interop interop/%,$(MODULES))
NESTED       = $(filter-out $(INTEROP),$(MODULES))
# What users get. These build with the root beside them by a go.work; the others replace it.
PUBLIC       = $(filter-out bench examples/% interop interop/% %/example,$(MODULES))
# The race detector needs a C compiler; go env knows whether there is one.
RACE         = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race,$(warning no C compiler: tests run WITHOUT the race detector))

.DEFAULT_GOAL := help
.PHONY: help test race vet lint vuln fuzz differential cover mutate trace golden demo interop soak bench gate apidiff nested modules tidy release check clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

test: ## every test that needs no other runtime
	go test ./...

race: ## the same under the race detector, in random order
	go test $(RACE) -timeout 30m -shuffle=on ./...

vet: ## go vet
	go vet ./...

lint: vet ## gofmt, go vet, staticcheck, and actionlint on the forge's workflows
	@unformatted="$$(gofmt -l .)"; test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go run $(STATICCHECK) ./...
	go run $(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml

# Exit status 3 is a finding in code that is called. VULNDB is another database, or a copy.
vuln: ## known vulnerabilities in what users get; where the database is out of reach it says so and passes
	@set -e; bin="$$(mktemp -d)"; trap 'rm -rf "$$bin"' EXIT; GOBIN="$$bin" go install $(GOVULNCHECK); \
	for dir in . $(PUBLIC); do echo "$$dir"; code=0; \
		"$$bin/govulncheck" -C "$$dir" $(if $(VULNDB),-db $(VULNDB)) ./... 2>"$$bin/errors" || code=$$?; cat "$$bin/errors" >&2; \
		if [ $$code -eq 1 ] && grep -q '^govulncheck: fetching vulnerabilities: ' "$$bin/errors"; then \
			echo "vuln: the database is out of reach; NOTHING was checked"; exit 0; \
		fi; \
		[ $$code -eq 0 ] || exit 1; \
	done

fuzz: ## every fuzz target, FUZZTIME (100000x) each
	@set -e; grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' $(addprefix --exclude-dir=,node_modules $(MODULES:examples/%=)) . | \
	while IFS=: read -r file match; do \
		target="$${match#func }"; echo "$$file $$target"; \
		go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=100x "$$(dirname "$$file")" </dev/null; \
	done

differential: ## RUNS=1000000 more of each fuzz target against both Go SDKs, GENERATED= (ten times as many) unguided ones; prints the sum of all
	@cd interop && nice -n 19 go run ./differential/runs -runs $(or $(RUNS),0) -generated $(or $(GENERATED),-1)

cover: ## statement coverage by file, against the thresholds
	@go test -timeout 30m -coverpkg=$(LIBRARY) -coverprofile=cover.out ./... >cover.log || { cat cover.log; exit 1; }
	@go test ./internal/archtest -count=1 -run='^TestCoverage$$' -v -profile="$(CURDIR)/cover.out"

# Hours for all of it; stopped, it goes on from there. FLAGS=-list and the like: go run ./internal/archtest/mutate -help
mutate: ## change what decides, one thing at a time, and see whether a test fails; PKG=internal/token: one package
	@go run ./internal/archtest/mutate $(if $(PKG),-pkg $(PKG)) $(FLAGS)

trace: ## requirement -> tests, failing on a MUST without one
	@go test ./internal/archtest -count=1 -run='^TestTrace' -v -table

golden: ## rewrite the golden files
	@set -e; for dir in $$(grep -rlE 'flag\.Bool\("update"' --include='*_test.go' $(addprefix --exclude-dir=,node_modules $(MODULES:examples/%=)) . | xargs -n1 dirname | sort -u); do \
		go test "$$dir" -count=1 -run='Golden|Wire' -update; \
	done

demo: ## the whole story, challenge to step-up; ARGS=--short: ten lines
	@echo 'Compiling the demo. Only the first time takes long.'
	@go run ./examples/quickstart $(ARGS)

interop: ## real authorization servers and clients
	@set -e; for dir in $(INTEROP); do echo "$$dir"; (cd "$$dir" && go vet ./... && go test -p 1 -timeout 30m ./...); done

soak: ## SOAK (30m) of all that can go wrong, at two replicas of real servers, against a model
	cd interop && go test ./soak -run '^TestSoak$$' -count=1 -timeout 0 -v -soak=$(or $(SOAK),30m)

bench: ## measure side by side with peers, ten minutes, and write bench/RESULTS.md
	cd bench && go run ./cmd/results

gate: ## compare our own benchmarks with the last tag, or BASE=commit; reports only
	cd bench && go run ./cmd/gate $(if $(BASE),-base $(BASE))

# What examples and the command export is nobody's to import, and does not count.
PROGRAMS    := ^- (package [^:]*/|\./)(examples?|cmd)[/.:]

apidiff: ## what has changed in the API since the last tag, or BASE=tag; since v1 or later, what breaks programs fails
	@set -e; base="$(BASE)"; [ -n "$$base" ] || base="$$(git describe --tags --abbrev=0 --match='v*' HEAD^ 2>/dev/null)" || \
		{ echo "apidiff: there is no tag before this commit; NOTHING was compared"; exit 0; }; \
	tmp="$$(mktemp -d)"; trap 'git worktree remove --force "$$tmp/old"; rm -rf "$$tmp"' EXIT; \
	git worktree add -q --detach "$$tmp/old" "$$base"; ln -s "$(CURDIR)" "$$tmp/new"; GOBIN="$$tmp" go install $(APIDIFF); broken=0; \
	for dir in . $(PUBLIC); do \
		echo "$$dir since $$base"; [ -f "$$tmp/old/$$dir/go.mod" ] || { echo "new"; continue; }; \
		for side in old new; do (cd "$$tmp/$$side/$$dir" && "$$tmp/apidiff" -m -w "$$tmp/$$side.x" "$$(sed -n 's/^module //p' go.mod)") 2>"$$tmp/errors" || \
			{ cat "$$tmp/errors" >&2; exit 1; }; done; \
		"$$tmp/apidiff" -m "$$tmp/old.x" "$$tmp/new.x" >"$$tmp/all" 2>/dev/null; grep -vE '$(PROGRAMS)' "$$tmp/all" || true; \
		"$$tmp/apidiff" -m -incompatible "$$tmp/old.x" "$$tmp/new.x" >"$$tmp/broken" 2>/dev/null; ! grep -qvE '$(PROGRAMS)' "$$tmp/broken" || broken=1; \
	done; \
	case "$$base" in v[1-9]*) exit $$broken ;; esac

nested: ## vet and test the nested modules
	@set -e; for dir in $(NESTED); do echo "$$dir"; (cd "$$dir" && go vet ./... && go test ./...); done

modules: ## release a copy of the tree, and get every module of it as users do
	go test ./internal/archtest -count=1 -run='^TestModules$$' -modules

tidy: ## go mod tidy in every module
	go mod tidy
	@set -e; for dir in $(MODULES); do echo "$$dir"; \
		case " $(PUBLIC) " in *" $$dir "*) replace=github.com/seed-1e292522/mcpauth ;; *) replace= ;; esac; \
		(cd "$$dir"; $${replace:+go mod edit -replace=$$replace=..}; go mod tidy; $${replace:+go mod edit -dropreplace=$$replace}); \
	done

release: ## VERSION=v1.2.3: that version in every module, a commit and the tags; nothing is pushed
	@test -z "$$(git status --porcelain)" || { echo "release: commit first"; exit 1; }
	@go test ./internal/archtest -count=1 -run='^TestVersions$$' -release='$(or $(VERSION),VERSION is not set)'
	@git diff --quiet || git commit -q -a -m 'Release $(VERSION)'
	@set -e; for tag in $(VERSION) $(PUBLIC:%=%/$(VERSION)); do git tag -a -m "$$tag" "$$tag"; done
	@echo git push --atomic origin HEAD $(VERSION) $(PUBLIC:%=%/$(VERSION))

check: race lint cover trace fuzz nested modules interop ## all of the above that can fail

clean: ## remove what the targets above leave behind
	rm -f cover.out cover.log
	go clean -testcache
