# Every target sets up what it needs. PYTHON is any CPython from 3.11 on.
PYTHON ?= python3
REQUIREMENTS ?= requirements.txt
VENV := .venv
INSTALLED := $(VENV)/installed-$(REQUIREMENTS)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# An option of `make start`, if it is given on the command line: some systems set variables of these names.
option = $(if $(filter command,$(firstword $(origin $(1)))),$(2) "$($(1))")

.PHONY: start repro sweep serve test test-quick check gate publish bench bench-full report use lock
.DEFAULT_GOAL := repro

start: $(INSTALLED)  ## make start DATA=path [NAME=name] [LLM=model] [BASE=model]: add your data to params.yaml
	@python -m stages.start $(or $(call option,DATA),"") $(call option,NAME,--name) $(call option,LLM,--llm) \
	  $(call option,BASE,--base)

repro: $(INSTALLED)  ## run the whole chain, then print the comparison
	python -m stages.check
	dvc repro
	@cat reports/compare.md
	@echo "Report: $(CURDIR)/reports/index.html"

sweep: $(INSTALLED)  ## make sweep MODEL=name TRY="parameter=value,value ..." or LABELS=share,share [RANDOM=number] [MINUTES=number]: score them on dev
	@python -m stages.sweep finetune.$(MODEL) $(addprefix --try ,$(TRY)) $(call option,LABELS,--labels) \
	  $(call option,RANDOM,--random) $(call option,MINUTES,--minutes)

serve: $(INSTALLED)  ## make serve MODEL=name [PORT=number] [HOST=address] [FAST=1]: answer over HTTP, with OpenAI's API
	@$(VENV)/bin/python -m pip install --quiet --requirement requirements-serve.txt
	@exec python -m stages.serve $(or $(call option,MODEL),"") $(call option,HOST,--host) $(call option,PORT,--port) \
	  $(if $(call option,FAST,--fast),--fast)

test: $(INSTALLED)  ## run the tests: offline, CPU, a file at a time in each of two processes
	pytest -n 2 --dist loadfile --no-loadscope-reorder  # in the order of tests/conftest.py: the longest files first

test-quick: $(INSTALLED)  ## run the tests that take seconds: some of each package
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

check: $(INSTALLED)  ## lint, types, the order of packages, parameters
	ruff check
	ruff format --check
	mypy
	PYTHONPATH=src lint-imports --no-logo
	python -m stages.check

gate: $(INSTALLED)  ## fail if a tuned model in metrics/verdict.json gained too little or forgot too much
	python -m stages.gate --verdict metrics/verdict.json

publish: $(INSTALLED)  ## make publish MODEL=name [REPO=organisation/name] [BASE=organisation/name] [PRECISION=0.9] [FORCE=1]: write published/<name>
	@dvc status --quiet eval compare \
	  || { echo "error: metrics/verdict.json is older than what is here: run make repro, or dvc pull what is missing"; exit 1; }
	@python -m stages.publish $(or $(call option,MODEL),"") $(call option,REPO,--repo) \
	  $(call option,BASE,--base) $(call option,PRECISION,--precision) $(call option,FORCE,--force)

bench: $(INSTALLED)  ## time stages, conversion, search, encoding, mining, evaluation, training, nudging, asking, exports, growth and serving, beside their peers; renew the tables
	python -m benchmarks.stages
	python -m benchmarks.converting
	python -m benchmarks.searching
	python -m benchmarks.encoding
	python -m benchmarks.mining
	python -m benchmarks.evaluating
	python -m benchmarks.training
	python -m benchmarks.nudging
	python -m benchmarks.load
	python -m benchmarks.asking
	python -m benchmarks.exporting
	python -m benchmarks.scaling
	$(VENV)/bin/python -m pip install --quiet --requirement requirements-serve.txt
	python -m benchmarks.serving
	python -m benchmarks.tables

bench-full: $(INSTALLED)  ## the same at full size and at scale: some hours
	python -m benchmarks.searching --full
	python -m benchmarks.encoding --full
	python -m benchmarks.mining --full
	python -m benchmarks.mining --growth
	python -m benchmarks.training --full
	python -m benchmarks.scaling --full
	python -m benchmarks.tables

report: $(INSTALLED)  ## draw the plots of DVC to dvc_plots/index.html
	dvc plots show

use: $(INSTALLED)  ## make use PRESET=name: copy presets/<name>.yaml over params.yaml
	python -m stages.use "$(PRESET)" --presets presets --params params.yaml

lock: $(INSTALLED)  ## renew the locks from pyproject.toml; the CPU lock is the GPU lock without CUDA
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
	  --extra gpu --extra dev pyproject.toml -o requirements-gpu.txt
	grep -oE '^(nvidia|cuda|triton)[a-z0-9-]*' requirements-gpu.txt > $(VENV)/cuda.txt
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --excludes $(VENV)/cuda.txt \
	  -c requirements-gpu.txt --extra cpu --extra dev pyproject.toml -o requirements.txt
	for extra in export ray serve; do \
	  uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --excludes $(VENV)/cuda.txt \
	    -c requirements.txt --extra cpu --extra dev --extra $$extra pyproject.toml -o $(VENV)/$$extra.txt \
	  && { grep -oE '^[a-z0-9._-]+==' requirements.txt | grep -vFf - $(VENV)/$$extra.txt > requirements-$$extra.txt; } \
	  || exit 1; \
	done  # each has what is new beside requirements.txt

$(INSTALLED): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
	  || { echo "error: $(PYTHON): expected Python 3.11 or newer with venv; name one: make PYTHON=python3.12"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/installed-*
	$(VENV)/bin/python -m pip uninstall --quiet --yes faiss-cpu faiss-gpu 2> /dev/null  # one at a time
	$(VENV)/bin/python -m pip install --quiet --no-compile --requirement $(REQUIREMENTS)  # what is used is compiled at first use
	touch $@
