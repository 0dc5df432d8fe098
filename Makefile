# An index. What each target does is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help run test check fuzz build command package deploy bench chaos test-aws test-clients

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## the whole service on this machine with sandbox providers; build/tokenvend dev --help names its variables
	@go build -o build/tokenvend ./scripts/tokenvend
	@exec build/tokenvend dev

test: ## every test; needs Go alone, and reports what it skips without an engine, a C compiler or a browser; ARGS go to go test
	@scripts/test.sh $(ARGS)

check: ## format, vet, lint, vulnerabilities, import rules, template
	@scripts/check.sh

fuzz: ## every parser of untrusted input, FUZZTIME (30s) each
	@scripts/fuzz.sh

build: ## build/<function>/bootstrap for each function; ARCH=arm64 for another machine
	@scripts/build.sh

command: ## build/command/tokenvend-<system>-<architecture> for six systems, and a Lambda layer and a container image of the agent; SYSTEMS="linux/arm64" for fewer
	@scripts/build.sh command

package: ## build/package/<architecture>: a template and zips that deploy without Go; ARCH=arm64
	@scripts/build.sh package

deploy: ## build for AWS and deploy the stack: asks the first time, uses the answers later; STACK=name PARAMETERS=file ask nothing; ARGS go to sam deploy
	@scripts/deploy.sh $(ARGS)

bench: ## performance and cost: aim, measured, pass or miss
	@go run ./scripts/bench $(ARGS)

chaos: ## failures of a fleet of real processes; needs an engine
	@go run ./scripts/chaos $(ARGS)

test-aws: ## real engines, the stack on an emulator of AWS, SAM in Docker; reports what is missing; ARGS="-require" fails then
	@go build -o build/aws ./scripts/aws
	@exec build/aws $(foreach arg,$(ARGS),'$(arg)')

test-clients: ## the clients in other languages; installs what they need under build/, and reports what is missing; ARGS=-require fails then
	@scripts/test-clients.sh $(ARGS)
