# Every verb does its own set-up: a fresh clone with make and Python 3.12 or later needs nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The verbs share one environment and one set of ports; side by side they would only trip over each other.
.NOTPARALLEL:

VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# Tools start with `#!/usr/bin/env node`; the environment's own node serves machines that have none.
export PATH := $(abspath $(BIN)):$(PATH)
# Nothing below asks questions, phones home, or depends on who runs it.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export DO_NOT_TRACK := 1
export SUPABASE_TELEMETRY_DISABLED := 1

DEPS := $(VENV)/.deps-installed
PROJECT := $(VENV)/.project-installed
TOOLS := node_modules/.installed

FUNCTIONS := $(subst _,-,$(notdir $(patsubst %/,%,$(dir $(wildcard functions/*/main.py)))))
SEED ?= 7
# Test processes side by side; a file stays with one of them, because its stack and its database do.
WORKERS ?= 2
SIZE ?= small
EXAMPLES ?= 500
ROUNDS ?= 10
ARGS ?=

.PHONY: help
help: ## Show this list
	@echo "Attend: engagement automation for Supabase. Verbs:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- What people run ---------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(PROJECT) ## Tell the whole story on a throw-away stack (SEED=7, ARGS=--json)
	@$(BIN)/attend demo --seed $(SEED) $(ARGS)

.PHONY: up
up: $(PROJECT) ## Start the embedded stack in the background (ARGS="--port 0" takes free ports)
	@$(BIN)/attend up $(ARGS)

.PHONY: down
down: $(PROJECT) ## Stop it; its data stay
	@$(BIN)/attend down $(ARGS)

.PHONY: build
build: $(PROJECT) ## Assemble every function's deployable folder under build/
	@for name in $(FUNCTIONS); do $(BIN)/attend build "$$name" --output "build/$$name" || exit 1; done

# --- What keeps it right -----------------------------------------------------------------------------------------

.PHONY: test
test: $(PROJECT) $(TOOLS) ## Run the test suite (ARGS="-k inactivity" narrows it)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: test-unexposed
test-unexposed: $(PROJECT) $(TOOLS) ## Run it where new tables are not exposed to the API roles by default
	ATTEND_EXPOSE_NEW_TABLES=false $(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: mutate
mutate: $(PROJECT) $(TOOLS) ## Take each gate, lock, key, policy, grant and trigger away, and name the test that notices (hours; ARGS="--only REGEX")
	$(PY) -m tests.mutation $(ARGS)

.PHONY: fuzz
fuzz: $(PROJECT) $(TOOLS) ## Send every HTTP surface what nobody would (EXAMPLES=500 of each kind; few are in make test)
	ATTEND_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest --timeout 3600 tests/fuzz $(ARGS)

.PHONY: audit
audit: $(PROJECT) $(TOOLS) ## Known weaknesses and licences of what is locked; says what could not be asked (ARGS=--strict)
	@$(PY) .ci/audit.py $(ARGS)

.PHONY: faults
faults: $(PROJECT) $(TOOLS) ## Break everything at once during a whole workload, compare with an undisturbed run (SEED=7, ROUNDS=10; needs a C compiler)
	@$(PY) -m tests.faults --seed $(SEED) --rounds $(ROUNDS) $(ARGS)

.PHONY: lint
lint: $(PROJECT) $(TOOLS) ## Check style and types, change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	node_modules/.bin/pyright
	node_modules/.bin/tsc --noEmit --allowJs --checkJs --strict --noUncheckedIndexedAccess --target es2024 --lib esnext,dom,dom.iterable \
	  --module esnext --moduleResolution bundler functions/engagement_panel/assets/*.js

.PHONY: format
format: $(DEPS) ## Rewrite the Python files in the project's style
	$(BIN)/ruff check --fix-only --exit-zero --quiet .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(PROJECT) ## Measure every table against limits taken in the same run (SIZE="small full"; ARGS="--json FILE --write PAGE")
	@$(BIN)/attend bench $(addprefix --size ,$(SIZE)) $(ARGS)

.PHONY: load
load: $(PROJECT) ## Measure a sustained load on all four systems, with an evaluation of everybody meanwhile (SIZE=smoke|small|full)
	@$(BIN)/attend bench --only load $(addprefix --size ,$(SIZE)) $(ARGS)

.PHONY: bench-smoke
bench-smoke: $(PROJECT) ## Run every benchmark once, small, with no claim about time
	@$(BIN)/attend bench --size smoke $(ARGS)

.PHONY: screenshots
screenshots: $(PROJECT) ## Take the pictures of the panel's page in docs/ anew (needs Chromium)
	@$(PY) -m tests.browser.screenshots

.PHONY: check
check: lint test test-unexposed bench-smoke demo ## Everything CI runs

# --- The environment ---------------------------------------------------------------------------------------------

.PHONY: install
install: $(PROJECT) $(TOOLS) ## Only set the environment up
	@echo "Ready: $(BIN)/attend --help"

.PHONY: lock
lock: $(DEPS) ## Resolve dependencies anew into requirements/ and package-lock.json
	@uv=$(BIN)/uv; \
	compile() { $$uv pip compile --quiet --no-config --universal --python-version 3.12 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$$@" pyproject.toml; }; \
	compile --all-extras --group dev --output-file requirements/dev.txt && \
	for name in $(FUNCTIONS); do \
	  compile --extra "$$name" --constraint requirements/dev.txt --no-annotate \
	    --output-file "requirements/$$name.txt" || exit 1; \
	done
	$(BIN)/npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --ignore-scripts

.PHONY: clean
clean: ## Remove what was built or cached (the environment stays)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find attend functions shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove the environment too
	rm -rf $(VENV) node_modules

# A candidate is run, not looked at: shims answer to names they cannot serve. 3.13 first, as .python-version says.
define find_python
for candidate in "$(PYTHON)" python3.13 python3.12 python3 python \
    "$${HOME:-/nonexistent}"/.pyenv/versions/3.13*/bin/python3 "$${HOME:-/nonexistent}"/.pyenv/versions/3.12*/bin/python3 \
    python3.14 "$$(uv python find '>=3.12' 2>/dev/null)"; do \
  if [ -n "$$candidate" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; \
  then found="$$candidate"; break; fi; \
done
endef

$(PY):
	@found=; $(find_python); \
	if [ -n "$$found" ]; then \
	  echo "Making $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv --clear $(VENV) >$(VENV).log 2>&1 && rm -f $(VENV).log || \
	    { cat $(VENV).log; rm -rf $(VENV) $(VENV).log; \
	      echo "This Python cannot make virtual environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv)." >&2; \
	      exit 1; }; \
	elif uv --version >/dev/null 2>&1; then \
	  uv venv --seed --python 3.13 $(VENV); \
	else \
	  echo "Attend needs Python 3.12 or later: install it (Debian 13, Ubuntu 24.04: apt-get install python3 python3-venv; macOS: brew install python@3.13) or name one with make PYTHON=/path/to/python3.13." >&2; \
	  exit 1; \
	fi

# uv is quicker; pip knows the machine's own certificates and mirrors, so it has the last word.
$(DEPS): requirements/dev.txt | $(PY)
	@echo "Installing the locked packages of requirements/dev.txt"
	@uv --version >/dev/null 2>&1 && \
	  uv pip install --quiet --python $(PY) --require-hashes -r requirements/dev.txt || \
	  $(PY) -m pip install -qq --require-hashes -r requirements/dev.txt
	@touch $@

$(PROJECT): $(DEPS) pyproject.toml
	@$(PY) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS): package.json package-lock.json | $(DEPS)
	@echo "Installing the pinned tools of package.json"
	@[ -w "$${HOME:-/nonexistent}" ] || export npm_config_cache="$(abspath $(VENV))/npm-cache"; \
	  $(BIN)/npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@
