"""How far what is asked of a model is from the model itself: the largest difference of a probability."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer

from llm_icl.backends import backends, find_model
from llm_icl.backends.forward.known import Reuse
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask
from tests.backends.architectures.families import VOCABULARY, tiny_model

PROMPT = "basic:inputs=compact"


class NotTinyError(Exception):
    """The reason why a family has no tiny model."""


@dataclass(frozen=True)
class Finding:
    """The largest difference from separate passes over whole prompts, by the way of asking; whether the model's greedy
    replies are its own; and what was said of it. `refused` is the error if it cannot be used.
    """

    differences: dict[str, float]
    replies_agree: bool = True
    spread: float = 0.0
    reasons: tuple[str, ...] = ()
    refused: str = ""

    @property
    def largest(self) -> float:
        return max(self.differences.values())


def measure(name: str, folder: Path) -> Finding:
    """Ask a tiny model of a family, saved in `folder`, in every way. Raises NotTinyError if there is none."""
    try:
        plain = saved(name, folder)
    except Exception as problem:  # configurations and models raise anything
        raise NotTinyError(f"{type(problem).__name__}: {problem}") from problem
    tokenizer = AutoTokenizer.from_pretrained(folder)
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 6, 2, 0)
    try:
        model: Any = backends.get("hf")(find_model(f"hf/{folder}"))
    except RequestError as refusal:
        return Finding({}, refused=str(refusal))
    expected = plain_probabilities(plain, tokenizer, problems)
    queries = np.tile(np.array(list(np.ndindex(2, 2, 2)), dtype=np.uint8)[::2], (len(problems), 1, 1))  # (N, 4, 3)
    behind = problems.followed_by(queries)
    expected_behind = plain_probabilities(plain, tokenizer, behind, [behind.points - 1])

    def difference(mode: str) -> float:
        with tempfile.TemporaryDirectory() as calls:
            found = ask(model, PROMPT, problems, Path(calls), mode).answers.probability
        return float(np.abs(found - expected).max())

    def difference_behind() -> float:
        with tempfile.TemporaryDirectory() as calls:
            found = ask(model, PROMPT, behind, Path(calls), "curve", [behind.points - 1]).answers.probability
        return float(np.abs(found - expected_behind).max())

    reasons = model._found.reuse.reasons
    differences = {"positions": difference("positions")}
    try:
        differences["curves"] = difference("curve")
    except RequestError as refusal:
        return Finding(differences, spread=float(expected.std()), reasons=(*reasons, str(refusal)))
    differences["queries behind the same examples"] = difference_behind()
    if model._found.reuse.batches:
        model.problems_at_once = len(problems)
        differences["curves together"] = difference("curve")
    model._found = replace(model._found, reuse=Reuse(batches=True, forks=False, crops=False, reasons=()))
    differences["curves, no prefix shared"] = difference("curve")
    texts = [prompt_of(problems, 0, position) for position in (0, 5)]
    agree = [reply.text for reply in model.generate(texts, 2, ())] == [greedy(plain, tokenizer, t, 2) for t in texts]
    return Finding(differences, agree, float(expected.std()), reasons)


def saved(name: str, folder: Path) -> Any:
    """A tiny model, saved in a folder with a tokenizer."""
    model = tiny_model(name)
    model.save_pretrained(folder)
    tokenizer_of(VOCABULARY).save_pretrained(folder)
    return model


def prompt_of(problems: Problems, problem: int, position: int) -> str:
    return render(load_prompt(parse_specs([PROMPT])[0]), problems, problem, position).completion()


@torch.inference_mode()
def plain_probabilities(
    model: Any, tokenizer: Any, problems: Problems, positions: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """P(1) at positions (all if None) of every problem, (N, P), by passes of their own over prompts: the definition."""
    asked = range(problems.points) if positions is None else positions
    found = np.empty((len(problems), len(asked)))
    for (problem, k), position in zip(np.ndindex(found.shape), cycle(asked)):
        zero, one = (tokenizer(f"{prompt_of(problems, problem, position)} {label}")["input_ids"] for label in "01")
        assert zero[:-1] == one[:-1]
        logits = model(input_ids=torch.tensor([zero[:-1]])).logits[0, -1].double()
        found[problem, k] = logits[[zero[-1], one[-1]]].softmax(0)[1]
    return found


@torch.inference_mode()
def greedy(model: Any, tokenizer: Any, text: str, count: int) -> str:
    tokens = tokenizer(text, return_tensors="pt")["input_ids"]
    before = tokens.shape[1]
    for _ in range(count):
        best = model(input_ids=tokens).logits[0, -1].argmax()
        tokens = torch.cat([tokens, best.view(1, 1)], dim=1)
        if best == tokenizer.eos_token_id:
            break
    return str(tokenizer.decode(tokens[0, before:], skip_special_tokens=True))


def tokenizer_of(size: int) -> Any:
    """A byte-level BPE of the words of the prompts, in which every digit is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 1, 1, 0)
    words = "".join(char for char in prompt_of(problems, 0, 0) if not char.isdigit())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<end>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([words, " 0 1"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
