"""The request of a comparison of attentions in language modelling: texts, tokenizer, models."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from llm_icl.config.specs import Spec, only_known
from llm_icl.errors import RequestError, unknown_name
from llm_icl.runs.versions import versions
from local_models.language_trainer import LanguageSchedule

END = "<|endoftext|>"
# Attention as in GPT-2; with the paper's momentum; with the filter from the authors' code.
ATTENTIONS = ("softmax", "momentum", "momentum-learned")
_ETA = 0.5


@dataclass(frozen=True)
class LanguageRequest:
    """The complete request. Perplexity is measured at `lengths`; the last is the training context."""

    attentions: tuple[Spec, ...]
    training: tuple[str, ...]
    held_out: str
    vocabulary: int
    layers: int
    width: int
    heads: int
    lengths: tuple[int, ...]
    schedule: LanguageSchedule
    seeds: tuple[int, ...]

    @property
    def context(self) -> int:
        return self.schedule.length

    def schedule_of(self, seed: int) -> LanguageSchedule:
        return dataclasses.replace(self.schedule, seed=seed)

    def record(self) -> dict[str, Any]:
        return {
            "attentions": [str(spec) for spec in self.attentions],
            "training": [_mark(text) for text in self.training],
            "held_out": _mark(self.held_out),
            "vocabulary": self.vocabulary,
            "layers": self.layers,
            "width": self.width,
            "heads": self.heads,
            "lengths": list(self.lengths),
            "plan": dataclasses.asdict(self.schedule),
            "seeds": list(self.seeds),
            "versions": {"llm-icl": versions()["llm-icl"]},
        }

    def check(self) -> None:
        """Raise RequestError for inconsistent options."""
        if self.width % self.heads:
            raise RequestError(f"--width {self.width} is not divisible by --heads {self.heads}")
        if bad := [length for length in self.lengths if length < 1 or self.context % length]:
            raise RequestError(f"--lengths {bad[0]} does not divide the context of {self.context} tokens")
        for what, texts in (("the training text", self.training), ("the held-out text", (self.held_out,))):
            if (most := sum(len(text.encode()) + 1 for text in texts)) <= self.context:
                raise RequestError(f"{what} has at most {most} tokens, which is less than --context {self.context}")
        if self.vocabulary < 257:
            raise RequestError(
                f"--vocabulary {self.vocabulary} is too small: the minimum is 257 (256 bytes and the end of text)"
            )
        for spec in self.attentions:
            if spec.name not in ATTENTIONS:
                raise unknown_name("attention", spec.name, ATTENTIONS)
            only_known("attention", spec.name, spec.mapping(), ("eta",) if spec.name == "momentum" else ())
            eta = spec.mapping().get("eta", _ETA)
            if isinstance(eta, bool | str) or not 0 <= eta < 1:
                raise RequestError(f"attention '{spec}': eta must be at least 0 and below 1")


def train_tokenizer(texts: Sequence[str], vocabulary: int, folder: Path) -> None:
    """A byte-level BPE of the texts, written atomically as a new folder. Digits are split, so labels 0 and 1
    are always single tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    pairs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pairs.train_from_iterator(texts, trainer)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        PreTrainedTokenizerFast(tokenizer_object=pairs, eos_token=END).save_pretrained(Path(temporary) / "whole")
        (Path(temporary) / "whole").rename(folder)


def tokens_of(tokenizer: Any, texts: Sequence[str], context: int, what: str) -> torch.Tensor:
    """All texts as one sequence of token ids with end-of-text tokens. Raises RequestError if they are too short."""
    ids = [token for text in texts for token in [*tokenizer(text).input_ids, tokenizer.eos_token_id]]
    if len(ids) <= context:
        raise RequestError(f"{what} has {len(ids)} tokens, but a context of {context} requires at least {context + 1}")
    return torch.tensor(ids)


def build(request: LanguageRequest, spec: Spec, seed: int, vocabulary: int, end: int) -> Any:
    """A new model. Weights common to all attentions are the same for the same seed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from local_models.momentum_gpt import MomentumGPT, MomentumGPTConfig

    options: dict[str, Any] = {
        "vocab_size": vocabulary, "n_positions": request.context, "n_embd": request.width, "n_layer": request.layers,
        "n_head": request.heads, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": end,
        "eos_token_id": end,
    }  # fmt: skip
    torch.manual_seed(seed)
    plain = GPT2LMHeadModel(GPT2Config(**options))
    if spec.name == "softmax":
        return plain
    learned = spec.name == "momentum-learned"
    model = MomentumGPT(MomentumGPTConfig(**options, learned=learned, eta=float(spec.mapping().get("eta", _ETA))))
    model.load_state_dict(plain.state_dict(), strict=False)
    return model


def _mark(text: str) -> dict[str, Any]:
    return {"characters": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
