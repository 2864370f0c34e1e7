"""A comparison of attentions in its directory: a folder for each model, which is a `--model` when it is trained."""

import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import torch

from llm_icl.config.files import atomic_path
from llm_icl.config.specs import Spec
from llm_icl.errors import RequestError, WorkError
from llm_icl.experiments.language_modelling.request import LanguageRequest, build, tokens_of, train_tokenizer
from llm_icl.runs import RunDirectory, opening_record
from llm_icl.runs.versions import versions
from local_models.checkpoints import CheckpointError
from local_models.language_trainer import losses, train
from local_models.metrics import read_metrics
from local_models.trainer import CHECKPOINT, TrainingError

LOSSES = "losses.parquet"
# The file that a finished model gets last.
_LAST = "config.json"

Report = Callable[[str, int, int], None]


def carry_out(request: LanguageRequest, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Train and try all models, each from where an earlier start stopped. Returns the content of run.json.

    The run then holds losses.parquet: for each attention, seed and length of the context the summed loss of each window
    of held-out tokens, in nats. Raises RequestError where the directory holds another run, WorkError where training
    cannot go on.
    """
    from transformers import AutoTokenizer

    earlier = run.record
    run.check_request(request.record())
    if earlier.get("status") == "complete":
        return earlier
    if earlier and earlier["versions"] != versions():  # models that are compared come from the same code
        raise RequestError(f"{run.path} was begun by other versions of the packages: give another --out")
    record = opening_record("train-lm", request.record()) | {
        key: value for key, value in earlier.items() if key in ("started", "wall_seconds")
    }
    began = time.monotonic() - earlier.get("wall_seconds", 0.0)

    def write(status: str) -> None:
        record.update({"status": status, "wall_seconds": time.monotonic() - began})
        run.write_record(record)

    if not earlier:  # what lies there is no one's
        shutil.rmtree(run.path / "tokenizer", ignore_errors=True)
        train_tokenizer(request.training, request.vocabulary, run.path / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(run.path / "tokenizer")
    training = tokens_of(tokenizer, request.training, request.context, "the training text")
    held_out = tokens_of(tokenizer, [request.held_out], request.context, "the held-out text")
    write("running")
    try:
        for spec in request.attentions:
            for seed in request.seeds:
                if run.part(name_of(str(spec), seed)) is None:
                    frame = _one(request, spec, seed, run.path, tokenizer, training, held_out, report)
                    run.write_part(name_of(str(spec), seed), frame)
                    write("running")
    except (TrainingError, CheckpointError) as problem:
        raise WorkError(f"{run.path}: {problem}") from None
    finally:
        write("running")
    parts = [run.part(name_of(str(spec), seed)) for spec in request.attentions for seed in request.seeds]
    with atomic_path(run.path / LOSSES) as temporary:
        pl.concat([part for part in parts if part is not None]).write_parquet(temporary)
    record["tokens"] = {"training": len(training), "held out": len(held_out), "vocabulary": len(tokenizer)}
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    write("complete")
    run.forget_parts()
    return record


def name_of(attention: str, seed: int) -> str:
    """The folder of a model: no characters that have a meaning in --model."""
    return f"{attention.replace(':', '-').replace('=', '-')}-{seed}"


def _one(
    request: LanguageRequest, spec: Spec, seed: int, folder: Path, tokenizer: Any, training: torch.Tensor,
    held_out: torch.Tensor, report: Report,
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
            report(words, step, request.schedule.steps)

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
