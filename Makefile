# Each target first sets up what it needs; on a new machine that is all, and later nothing.
CORES ?= all
# A file of tests is one worker's; the files that take longest begin (tests/conftest.py). One worker more than there
# are processors, since tests of clusters and of killed runs mostly wait.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
IN_PARALLEL = --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Its numbers by one thread, as in a rule: threads of two workers wait for each other, ten times as long.
ONE_THREAD = OMP_NUM_THREADS=1
# Memory that the jobs of a run may ask for together.
MEM_MB ?= 4000
DEMO = config/config.yaml
PUBLIC = config/public.yaml
# The run whose data are asked for known answers.
CONFIG ?= $(PUBLIC)

# The finished run that CELLxGENE's validator judges.
RESULTS ?= results/demo

BIN = .venv/bin
READY = .venv/.ready
SNAKEMAKE = $(BIN)/snakemake
VALIDATOR = .tools/cellxgene/.ready
UV = $(firstword $(wildcard .tools/uv/bin/uv) uv)
RUN = $(SNAKEMAKE) --cores $(CORES) --resources mem_mb=$(MEM_MB) --configfile

.PHONY: help setup demo public known-answers map cellxgene test lint format docs resources audit release unlock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## set up the environment in .venv

$(READY): uv.lock pyproject.toml envs/setup.sh
	sh envs/setup.sh
	@touch $@

demo: $(READY) ## run the demo: a simulated cohort whose truth is known
	$(RUN) $(DEMO)

public: $(READY) ## run four public datasets, from files to the report
	$(RUN) $(PUBLIC)

known-answers: $(READY) ## ask the data of a run (CONFIG, the public one by default) what is published of them
	$(RUN) $(CONFIG) known_answers
	@$(BIN)/python -m emhniche.known_answers $(CONFIG)

map: $(READY) ## place a sample of your own (QUERY, a file of counts; NAME, its file's by default) among the cells of a finished run (CONFIG)
	$(BIN)/python scripts/map_query.py $(CONFIG) "$(QUERY)" --name "$(NAME)"

cellxgene: $(VALIDATOR) ## write the atlas of a finished run (RESULTS) for CELLxGENE and have its own validator judge it
	.tools/cellxgene/bin/python scripts/cellxgene_export.py $(RESULTS)

$(VALIDATOR): envs/cellxgene/requirements.txt
	sh envs/setup.sh cellxgene
	@touch $@

test: $(READY) ## run all tests
	$(ONE_THREAD) $(BIN)/pytest $(IN_PARALLEL) $(PYTEST_ARGS)

lint: $(READY) ## check code, format and rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint

format: $(READY) ## put code and rules into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow

docs: $(READY) ## write what is generated: config/README.md and envs/*/environment.yaml
	$(BIN)/python -m emhniche.config_docs
	$(BIN)/python -m emhniche.environments

resources: $(READY) ## fit what rules ask for from resources/rule_measured.tsv
	$(BIN)/python scripts/fit_rule_resources.py

# a package that the service does not know is no clean one: --strict
audit: $(READY) ## ask PyPI whether a locked package has a known weakness
	@mkdir -p dist
	$(UV) export --quiet --frozen --no-emit-project --no-hashes --all-groups --output-file dist/locked.txt
	$(UV) tool run pip-audit==2.10.1 --strict --no-deps --disable-pip --requirement dist/locked.txt

release: $(READY) ## pack the commit, its lock and the sums of its files into dist/
	$(BIN)/python -m emhniche.release

unlock: $(READY) ## take away the lock that a crashed run left
	$(SNAKEMAKE) --unlock

clean: ## remove what the demo and public runs wrote
	rm -rf $(foreach run,demo aliased public,results/$(run) logs/$(run) benchmarks/$(run))
