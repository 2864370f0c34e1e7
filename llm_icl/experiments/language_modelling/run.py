"""A comparison of attentions in its directory: a folder for each model, which is a `--model` when it is trained."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import torch

from llm_icl.config.files import atomic_path
from llm_icl.config.specs import Spec
from llm_icl.errors import WorkError
from llm_icl.experiments.base import Session
from llm_icl.experiments.language_modelling.request import LanguageRequest, build, tokens_of, train_tokenizer
from llm_icl.progress import OnProgress
from local_models.checkpoints import CheckpointError
from local_models.kv_cache import cached
from local_models.language_trainer import losses, train
from local_models.metrics import read_metrics
from local_models.trainer import CHECKPOINT, TrainingError

LOSSES, TOKENIZER = "losses.parquet", "tokenizer"
# The file that a finished model gets last.
_LAST = "config.json"


def train_in(session: Session, request: LanguageRequest, on_progress: OnProgress) -> None:
    """Train and validate all models, each from where an earlier start stopped.

    The directory then holds losses.parquet: for each attention, seed and length of the context the summed loss of each
    window of held-out tokens, in nats. Raises WorkError where training cannot go on.
    """
    from transformers import AutoTokenizer

    run = session.run
    own = run.path / TOKENIZER
    if not session.earlier:  # what lies there is no one's
        shutil.rmtree(own, ignore_errors=True)
    if not own.is_dir():
        train_tokenizer(request.training, request.vocabulary, own)
    tokenizer = AutoTokenizer.from_pretrained(own)
    training = tokens_of(tokenizer, request.training, request.context, "the training text")
    held_out = tokens_of(tokenizer, [request.held_out], request.context, "the held-out text")
    models = [(spec, seed) for spec in request.attentions for seed in request.seeds]
    for spec in request.attentions:
        _rehearse(request, spec, tokenizer, held_out)
    try:
        for spec, seed in models:
            if run.part(name_of(str(spec), seed)) is None:
                frame = _one(request, spec, seed, run.path, tokenizer, training, held_out, on_progress)
                run.write_part(name_of(str(spec), seed), frame)
                session.save()
    except (TrainingError, CheckpointError) as problem:
        raise WorkError(f"{run.path}: {problem}") from None
    parts = [run.part(name_of(str(spec), seed)) for spec, seed in models]
    with atomic_path(run.path / LOSSES) as temporary:
        pl.concat([part for part in parts if part is not None]).write_parquet(temporary)
    tokens = {"training": len(training), "held out": len(held_out), "vocabulary": len(tokenizer)}
    session.results["tokens"] = tokens


def _rehearse(request: LanguageRequest, spec: Spec, tokenizer: Any, tokens: torch.Tensor) -> None:
    """One step of everything that a model goes through: what fails then fails at once, and not when others of the same
    run have been trained for minutes.
    """
    from transformers import AutoModelForCausalLM, DynamicCache

    model = build(request, spec, request.seeds[0], len(tokenizer), tokenizer.eos_token_id)
    window = tokens[: request.context + 1].unsqueeze(0)  # (1, T + 1)
    model(input_ids=window[:, :-1], labels=window[:, :-1]).loss.backward()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    losses(model, tokens[: request.context + 1], request.lengths[0], request.context)
    with torch.inference_mode():  # reading on from a cache, as evaluations do
        model(input_ids=window[:, :1], **cached(model, DynamicCache(config=model.config)))


def name_of(attention: str, seed: int) -> str:
    """The folder of a model: no characters that have a meaning in --model."""
    return f"{attention.replace(':', '-').replace('=', '-')}-{seed}"


def _one(
    request: LanguageRequest, spec: Spec, seed: int, folder: Path, tokenizer: Any, training: torch.Tensor,
    held_out: torch.Tensor, on_progress: OnProgress,
) -> pl.DataFrame:  # fmt: skip
    """Train one model and try it."""
    from transformers import AutoModelForCausalLM

    own = folder / name_of(str(spec), seed)
    own.mkdir(exist_ok=True)
    if not (own / _LAST).is_file():
        model = build(request, spec, seed, len(tokenizer), tokenizer.eos_token_id)

        def told(step: int, loss: float, tried: float | None, speed: float) -> None:
            held = "" if tried is None else f", held out {tried:.3f}"
            left = (request.schedule.steps - step) / speed
            words = f"{own.name}: loss {loss:.3f}{held}, {speed:.1f} steps/s, {left:.0f} s left"
            on_progress(words, step, request.schedule.steps)

        train(model, request.schedule_of(seed), training, held_out, own, told)
        _save(model, tokenizer, own)
    model = AutoModelForCausalLM.from_pretrained(own, dtype=torch.float32)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    frames = []
    for length in request.lengths:
        found = losses(model, held_out, length, request.context).numpy()
        columns = {"attention": str(spec), "seed": seed, "length": length, "window": range(len(found)), "loss": found}
        frames.append(pl.DataFrame(columns))
    last = read_metrics(own)[-1]
    about = [pl.lit(model.num_parameters()).alias("parameters"), pl.lit(last["steps_per_second"]).alias("speed")]
    return pl.concat(frames).with_columns(about)


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """The model as transformers keeps one; what says that it is there comes last."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        tokenizer.save_pretrained(temporary)
        model.save_pretrained(temporary)
        for file in sorted(Path(temporary).iterdir(), key=lambda file: file.name == _LAST):
            file.chmod(folder.stat().st_mode & 0o666)  # safetensors would keep it to its owner
            file.replace(folder / file.name)
    (folder / CHECKPOINT).unlink()
