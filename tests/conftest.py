"""Things that several tests need: small models made on the spot, the embedded ones, and the command line."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# Two test processes or a busy machine must not fight for cores; results do not depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

# Where Weights & Biases is installed, the tests leave it alone.
os.environ.setdefault("WANDB_MODE", "disabled")

# What needs vLLM, Ray or another harness is run where they are: make test-vllm, make test-ray, make harnesses.
collect_ignore = [] if find_spec("vllm") else ["backends/vllm"]
collect_ignore += [] if find_spec("ray") else ["suites/test_ray.py"]
collect_ignore += [] if find_spec("inspect_ai") and find_spec("lm_eval") else ["harnesses/test_real.py"]

TRAINING_TEXT = ["Input: 0 1 1 0", "Label: 1", "Label: 0", "You are given some examples of inputs and their labels."]


@pytest.fixture
def one_thread():
    """For models that are so small that a second thread only waits, and for numbers that must agree bit for bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> "TinyModels":
    return TinyModels(tmp_path_factory.mktemp("models"))


class TinyModels:
    """Folders with random models of a few thousand parameters and tokenizers of several kinds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def gpt2(self, text: list[str] = TRAINING_TEXT, merges: int = 60, context: int = 2048) -> Path:
        """A GPT-2 with a byte-level BPE tokenizer trained on `text`."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import GPT2Config, GPT2LMHeadModel

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=257 + merges, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
        tokenizer.train_from_iterator(text, trainer)
        config = GPT2Config(
            vocab_size=tokenizer.get_vocab_size(), n_positions=context, n_embd=32, n_layer=2, n_head=2,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        return self._save(tokenizer, GPT2LMHeadModel, config, "gpt2")

    def sliding(self) -> Path:
        """A Gemma 3 with a window of 16 tokens and one token for every byte, which begins its sequences with <bos>."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
        from transformers import Gemma3ForCausalLM, Gemma3TextConfig

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {token: i for i, token in enumerate(["<end>", "<bos>", *alphabet])}
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.add_special_tokens(["<end>", "<bos>"])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
        config = Gemma3TextConfig(
            vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=3,
            num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=16, max_position_embeddings=4096,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"], bos_token_id=1, eos_token_id=0,
        )  # fmt: skip
        return self._save(tokenizer, Gemma3ForCausalLM, config, "sliding", bos_token="<bos>")

    def _save(self, tokenizer, model_class, config, name: str, **special: str) -> Path:
        import torch
        from transformers import PreTrainedTokenizerFast

        torch.manual_seed(0)
        folder = self.folder / name
        model = model_class(config)
        for parameter in model.parameters():  # sharper than a fresh model, so that errors show
            parameter.data.mul_(3)
        model.save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", **special).save_pretrained(folder)
        return folder


def run_cli(*arguments: str, cwd: Path, **kwargs) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, in a process of its own."""
    command = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600, **kwargs)


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    return found
