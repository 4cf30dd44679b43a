# Timbre. `make run` starts the app, `make test-all` runs every test; both set up what they need first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BENCH_VENV := .venv-bench
CLIENTS_VENV := .venv-clients
SCALE_VENV := .venv-scale
BIN := $(VENV)/bin
# virtualenv, where Python can't make environments itself; PYTHONPATH lets it be found
TOOL := .venv-tool
# what installs, current: Python brings versions of its own age. Nothing that runs here needs pkg_resources.
PIP := pip==26.3 setuptools==84.2.1
SPEAKERS ?=
# Those that start the whole app, in a browser or to attack it, have a target of their own, as have those of scaling.
APP_TESTS := tests/browser tests/attacks
SCALE_TESTS := tests/scale
TESTS ?= $(addprefix --ignore=,$(APP_TESTS) $(SCALE_TESTS))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
# Hundreds of processes start here: each would compile the same files.
unexport PYTHONDONTWRITEBYTECODE

# Each candidate is run, not only looked up: a version manager's stub may exist and start nothing.
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3 python3.12 python3.13; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
endif

# Debian's python3 has neither pip nor ensurepip: then venv comes from apt, or virtualenv stands in for it.
# $(call environment,FOLDER) makes it if it is missing or broken; $(call fill,FOLDER,REQUIREMENTS) installs into it.
define environment
[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed, and none was found. On Debian: apt-get install python3" >&2; exit 1; }; \
if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	$(MAKE) -s python-venv; \
	echo "Making $(1) with $$($(PYTHON) --version)"; \
	if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv --clear $(1); \
	else PYTHONPATH=$(TOOL) $(PYTHON) -m virtualenv -q --clear $(1); fi; \
fi
endef

define fill
echo "Installing $(2) into $(1): once, this takes some minutes"; \
$(1)/bin/python -m pip install -q $(PIP); \
$(1)/bin/python -m pip install -q $(foreach file,$(2),-r $(file))
endef

define install
$(call environment,$(1)); $(call fill,$(1),$(2))
endef

# $(call apt,PACKAGE) installs a Debian package if we may; fails quietly if not.
define apt
command -v apt-get >/dev/null && { \
	if [ "$$(id -u)" = 0 ]; then asroot=; else asroot="sudo -n"; $$asroot true 2>/dev/null; fi && \
	$$asroot apt-get -qq update && DEBIAN_FRONTEND=noninteractive $$asroot apt-get -qq install -y $(1) >/dev/null; }
endef

# Of three at once on two cores, one waits for a process or a server most of the time; a browser takes a core by itself.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder -n

.PHONY: help
help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

.PHONY: run
run: $(VENV)/.run  ## set up, start the app at http://127.0.0.1:7860 (GRADIO_SERVER_PORT: the port), and open it
	@exec $(BIN)/python app.py --open

.PHONY: test
test: $(VENV)/.dev $(CLIENTS_VENV)/.few chromium curl  ## set up and run the tests of every part (TESTS="tests/test_cli.py -x" chooses)
	@$(PYTEST) 3 $(TESTS)

.PHONY: test-app
test-app: $(VENV)/.dev chromium curl  ## run the tests of the whole: the page in a browser, and attacks on the app
	@$(PYTEST) 2 $(APP_TESTS)

.PHONY: test-scale
test-scale: $(SCALE_VENV)/.scale servers  ## run the tests of several hosts: PostgreSQL, S3, and engines on Ray
	@$(SCALE_VENV)/bin/python -m pytest $(SCALE_TESTS)

.PHONY: test-all
test-all: test test-app test-scale  ## run every test

.PHONY: clients
clients: $(VENV)/.dev $(CLIENTS_VENV)/.all  ## let clients of other makers ask the API, all that there are
	@$(BIN)/python -m pytest tests/clients $(TESTS)

.PHONY: check
check: $(VENV)/.dev  ## format (only checked), lint and types
	@$(BIN)/ruff format --check --quiet . || { echo "Run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --strict clone

.PHONY: format
format: $(VENV)/.dev  ## format, and fix what the linter can fix
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

.PHONY: bench
bench:  ## measure likeness, errors, quality and time: make bench SPEAKERS=folder
	@[ -n "$(SPEAKERS)" ] || { echo "Which recordings? make bench SPEAKERS=folder (one folder per speaker)" >&2; exit 1; }
	@[ -d "$(SPEAKERS)" ] || { echo "There is no folder $(SPEAKERS)" >&2; exit 1; }
	@$(MAKE) $(BENCH_VENV)/.bench
	@$(BENCH_VENV)/bin/python -m bench "$(SPEAKERS)"

.PHONY: screenshots
screenshots: $(VENV)/.dev chromium  ## take the pictures in assets/screenshots/ anew
	@$(BIN)/python scripts/screenshots.py

.PHONY: clean
clean:  ## remove environments and caches (voices kept in TIMBRE_HOME stay)
	@rm -rf $(VENV) $(BENCH_VENV) $(CLIENTS_VENV) $(SCALE_VENV) $(TOOL) .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than the requirements they were installed from.
$(VENV)/.run: requirements.txt
	@$(call install,$(VENV),requirements.txt)
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt
	@$(call install,$(VENV),requirements-dev.txt)
	@touch $(VENV)/.run $@

$(BENCH_VENV)/.bench: requirements.txt requirements-bench.txt
	@$(call install,$(BENCH_VENV),requirements.txt requirements-bench.txt)
	@touch $@

$(CLIENTS_VENV)/.few: requirements-clients.txt
	@$(call install,$(CLIENTS_VENV),requirements-clients.txt)
	@touch $@

$(CLIENTS_VENV)/.all: requirements-clients.txt requirements-clients-more.txt
	@$(call install,$(CLIENTS_VENV),requirements-clients-more.txt)
	@touch $(CLIENTS_VENV)/.few $@

# It sees what is in the other one, and has only what comes on top.
$(SCALE_VENV)/.scale: $(VENV)/.dev requirements-scale.txt
	@$(call environment,$(SCALE_VENV)); \
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(SCALE_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/timbre.pth"; \
	$(call fill,$(SCALE_VENV),requirements-scale.txt)
	@touch $@

.PHONY: python-venv
python-venv:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && exit 0; \
	echo "$(PYTHON) has no venv module; looking for another way"; \
	version=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	{ $(call apt,$$version); } && $(PYTHON) -c 'import ensurepip' 2>/dev/null && exit 0; \
	PYTHONPATH=$(TOOL) $(PYTHON) -m virtualenv --version >/dev/null 2>&1 && exit 0; \
	$(PYTHON) -m pip install -q --target $(TOOL) virtualenv 2>/dev/null && exit 0; \
	echo "An environment can't be made with $(PYTHON). On Debian, as root: apt-get install $$version" >&2; exit 1

.PHONY: chromium
chromium:
	@[ -x /usr/bin/chromium ] && exit 0; \
	echo "Installing chromium for the browser's tests"; \
	{ $(call apt,chromium); } && exit 0; \
	echo "The browser's tests need /usr/bin/chromium. On Debian, as root: apt-get install chromium" >&2; exit 1

.PHONY: servers
servers:
	@ls /usr/lib/postgresql/*/bin/initdb /usr/sbin/nginx /usr/bin/caddy >/dev/null 2>&1 && exit 0; \
	echo "Installing postgresql, nginx and caddy for the tests of several hosts"; \
	{ $(call apt,--no-install-recommends postgresql nginx-light caddy); } && exit 0; \
	echo "These tests need more. On Debian, as root: apt-get install postgresql nginx-light caddy" >&2; exit 1

.PHONY: curl
curl:
	@command -v curl >/dev/null && exit 0; \
	echo "Installing curl for the tests of the API"; \
	{ $(call apt,curl); } && exit 0; \
	echo "The API's tests need curl. On Debian, as root: apt-get install curl" >&2; exit 1
