"""A comparison of attentions in its directory: one folder per model, which can be passed as `--model`."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from llm_icl.backends.loading import load_model
from llm_icl.config.files import atomic_path, write_text
from llm_icl.config.specs import Spec
from llm_icl.errors import WorkError
from llm_icl.experiments.base import Session
from llm_icl.experiments.language_modelling.card import language_card
from llm_icl.experiments.language_modelling.request import LanguageRequest, build, tokens_of, train_tokenizer
from llm_icl.progress import OnProgress
from local_models.checkpoints import CheckpointError
from local_models.kv_cache import cached, new_cache
from local_models.language_trainer import losses, train
from local_models.metrics import read_metrics
from local_models.trainer import CHECKPOINT, TrainingError

LOSSES, TOKENIZER = "losses.parquet", "tokenizer"
# The last file to be written of a finished model.
_LAST = "config.json"


def train_in(session: Session, request: LanguageRequest, on_progress: OnProgress) -> None:
    """Train and evaluate all models, resuming interrupted ones.

    The directory then holds losses.parquet: for each attention, seed and length of the context the summed loss of each
    window of held-out tokens, in nats. Raises WorkError if training fails.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # transformers' own, for each small model that is written
    run = session.run
    own = run.path / TOKENIZER
    if not session.earlier:  # left over from an unknown run
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
    """Run one step of training, saving, loading and evaluation, so errors occur before other models of the run are
    trained.
    """
    from transformers import AutoModelForCausalLM

    model = build(request, spec, request.seeds[0], len(tokenizer), tokenizer.eos_token_id)
    window = tokens[: request.context + 1].unsqueeze(0)  # (1, T + 1)
    model(input_ids=window[:, :-1], labels=window[:, :-1]).loss.backward()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        model = load_model(AutoModelForCausalLM, str(spec), folder, torch.float32, {})
    losses(model, tokens[: request.context + 1], request.lengths[0], request.context)
    with torch.inference_mode():  # with a KV cache, as in evaluations
        model(input_ids=window[:, :1], **cached(model, new_cache(model)))


def name_of(attention: str, seed: int) -> str:
    """The folder of a model: without characters that are special in --model."""
    return f"{attention.replace(':', '-').replace('=', '-')}-{seed}"


def _one(
    request: LanguageRequest, spec: Spec, seed: int, folder: Path, tokenizer: Any, training: torch.Tensor,
    held_out: torch.Tensor, on_progress: OnProgress,
) -> pl.DataFrame:  # fmt: skip
    """Train and evaluate one model."""
    from transformers import AutoModelForCausalLM

    own = folder / name_of(str(spec), seed)
    own.mkdir(exist_ok=True)
    if not (own / _LAST).is_file():
        model = build(request, spec, seed, len(tokenizer), tokenizer.eos_token_id)

        def on_step(step: int, loss: float, held_out_loss: float | None, speed: float) -> None:
            validation = "" if held_out_loss is None else f", held out {held_out_loss:.3f}"
            left = (request.schedule.steps - step) / speed
            words = f"{own.name}: loss {loss:.3f}{validation}, {speed:.1f} steps/s, {left:.0f} s left"
            on_progress(words, step, request.schedule.steps)

        train(model, request.schedule_of(seed), training, held_out, own, on_step)
        _save(model, tokenizer, own)
    model = load_model(AutoModelForCausalLM, own.name, own, torch.float32, {})
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    frames, by_length = [], {}
    for length in request.lengths:
        found = losses(model, held_out, length, request.context).numpy()
        if not np.isfinite(found).all():
            raise WorkError(f"{own}: the held-out loss at a context of {length} tokens is not finite")
        by_length[length] = found
        columns = {"attention": str(spec), "seed": seed, "length": length, "window": range(len(found)), "loss": found}
        frames.append(pl.DataFrame(columns))
    card = language_card(request, str(spec), seed, model.num_parameters(), by_length)
    write_text(own / "README.md", card)
    last = read_metrics(own)[-1]
    about = [pl.lit(model.num_parameters()).alias("parameters"), pl.lit(last["steps_per_second"]).alias("speed")]
    return pl.concat(frames).with_columns(about)


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save the model in transformers' format; the file that marks it as complete is written last."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        tokenizer.save_pretrained(temporary)
        model.save_pretrained(temporary)
        for file in sorted(Path(temporary).iterdir(), key=lambda file: file.name == _LAST):
            file.chmod(folder.stat().st_mode & 0o666)  # safetensors restricts it to the owner
            file.replace(folder / file.name)
    (folder / CHECKPOINT).unlink()
