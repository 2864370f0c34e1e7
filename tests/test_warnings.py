"""No third party's warning reaches a user: every command is run with warnings as errors, and its words are its own."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import TinyModels
from tests.experiments.finetuning.own_texts import write_own_texts
from tests.experiments.language_modelling.making import TRAIN, write_texts

# Runs commands one after the other in one process, in which every kind of warning that Python shows is an error.
RUNNER = """
import json, sys, warnings
from contextlib import redirect_stdout
from io import StringIO
for kind in (UserWarning, FutureWarning, RuntimeWarning, SyntaxWarning, UnicodeWarning):
    warnings.filterwarnings("error", category=kind)
from llm_icl.cli.main import main
for command in json.loads(sys.argv.pop(1)):
    sys.argv[1:] = command
    print("$", *command, file=sys.stderr, flush=True)
    try:
        with redirect_stdout(StringIO()):
            main()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    print("=", status, file=sys.stderr, flush=True)
"""

SUITE = """
matrix: {model: [hf/gpt2], task: [parity], n: [3]}
points: 4
problems: 2
"""
TRAINING_SUITE = """
kind: train
matrix: {architecture: [transformer], task: [parity], n: [3], layers: [1], width: [16]}
points: 4
steps: 3
batch-size: 4
problems: 2
"""
SMALL = "--n 3 --points 4 --problems 2"
COMPARE = "finetune-vs-icl --dataset own.yaml --data-dir . --examples 4 --seed 1 --rates 0.01"
COMMANDS = f"""
eval --model none --task conjunction,parity {SMALL} --out classical
eval --model hf/gpt2 --task parity {SMALL} --out curve
eval --model hf/gpt2 --task parity {SMALL} --mode positions --out positions
eval --model hf/gpt2 --task parity {SMALL} --mode generate --out generate
eval --model hf/sliding --task parity {SMALL} --out sliding
eval --model hf/gpt2 --task parity {SMALL} --dry-run
train --task parity --n 3 --points 8 --steps 4 --layers 1 --width 16 --batch-size 4 --out network
train --architecture hf/gpt2 --task parity --n 3 --points 4 --steps 2 --batch-size 2 --out frozen
eval --model network,frozen --task parity {SMALL} --out networks
probe --model network --points 8 --problems 2 --out probe
probe --model hf/gpt2 --points 8 --problems 2 --out probe-lm
{TRAIN} --steps 3 --seed 1 --out lm
{COMPARE} --model hf/gpt2 --out comparison
{COMPARE} --model hf/xglm --out comparison-xglm
{COMPARE} --model hf/lm/momentum-1 --demonstrations 1 --too-many cut --out comparison-momentum
run suite.yaml --out suite
run training.yaml --out trainings
report classical network probe lm comparison --out all
report classical --export paper
list runs .
sample --task parity {SMALL} --to drawn.npz
sample --task parity {SMALL} --to drawn.jsonl
sample --task parity {SMALL} --to drawn.parquet
sample --task parity {SMALL} --to dataset
list models
list tasks
list prompts
list learners
list suites
list architectures
list datasets
show task parity
show model gpt-4.1
show learner nearest-neighbour
show architecture mamba
show architecture hf/gpt2
show dataset sst2
show prompt basic --task parity --n 3
show prompt basic --task parity --n 3 --model hf/gpt2
show problem parity --n 3 --points 4
serve llama2-7b --dry-run
""".strip().splitlines()


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command says on standard error, with its exit status."""
    folder = tmp_path_factory.mktemp("work")
    made = TinyModels(folder)
    made.gpt2(context=512)
    made.sliding()
    xglm(made)
    write_texts(folder)
    write_own_texts(folder, training=80, evaluation=10)
    (folder / "suite.yaml").write_text(SUITE)
    (folder / "training.yaml").write_text(TRAINING_SUITE)
    run = [sys.executable, "-c", RUNNER, json.dumps([command.split() for command in COMMANDS])]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=900, env=os.environ, check=False)
    said = {}
    for part in done.stderr.split("$ ")[1:]:
        lines = part.splitlines()
        ended = next((i for i, line in enumerate(lines) if line.startswith("= ")), None)
        assert ended is not None, part
        said[lines[0]] = (int(lines[ended].split()[1]), lines[1:ended])
    return said


def xglm(made):
    """The family of the models of Dai et al. 2023, with the tokenizer of the other one."""
    import shutil

    import torch
    from transformers import XGLMConfig, XGLMForCausalLM

    torch.manual_seed(0)
    shutil.copytree(made.folder / "gpt2", made.folder / "xglm")
    config = XGLMConfig(
        vocab_size=512, max_position_embeddings=512, d_model=32, ffn_dim=64, num_layers=2, attention_heads=2,
        bos_token_id=0, eos_token_id=0, pad_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    XGLMForCausalLM(config).save_pretrained(made.folder / "xglm")


# The program's own lines: what is loaded, how a model is asked, how far the work is, what texts have in common, that a
# model with random weights does not expect labels.
OWN = re.compile(
    r"loading .+|.+ with prompt \w+: mode .+|.+ \d+/\d+|own/\w+\.jsonl: \d+ of \d+ texts .+"
    r"|.+: no probabilities from .+ \(the labels have less than 1 % of the probability\)"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_warns_of_nothing(said, command):
    status, lines = said[command]
    assert status == 0, lines
    assert [line for line in lines if not OWN.fullmatch(line)] == []
