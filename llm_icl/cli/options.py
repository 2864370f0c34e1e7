"""Options that several verbs share, and how they are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llm_icl.errors import RequestError

if TYPE_CHECKING:
    from llm_icl.asking.cache import CallCache
    from llm_icl.backends import ModelEntry
    from llm_icl.experiments.evaluation.run import Calling
    from llm_icl.networks.trained import TrainedNetwork

F = TypeVar("F", bound=Callable[..., Any])

# Asked without --n; a dimension at which most classes can be learned and exact Bayes is quick.
DEFAULT_N = 5


def folders(command: F) -> F:
    """--tasks-dir and --prompts-dir."""
    kind = click.Path(path_type=Path, file_okay=False, exists=True)
    command = click.option("--tasks-dir", type=kind, help="Folder of your own task cards [./tasks].")(command)
    return click.option("--prompts-dir", type=kind, help="Folder of your own prompt templates [./prompts].")(command)


def calling(command: F) -> F:
    """How models are reached, and what that may cost."""
    for option in (
        click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True),
                     help="File of your own models [./models.yaml]."),
        click.option("--batch", is_flag=True, help="Use the provider's batch interface: half the price, within a day."),
        click.option("--max-calls", type=click.IntRange(min=1), help="Stop before so many calls are passed."),
        click.option("--max-cost", type=click.FloatRange(min=0), help="Stop before so many US dollars are passed."),
        click.option("--concurrency", default="auto", help="Requests in flight at a time, or 'auto'."),
        click.option("--base-url", default="", help="Server that is asked instead of the provider's."),
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True)
class Limits:
    """What --concurrency, --max-cost, --max-calls and --batch say."""

    at_once: int | None
    most_cost: float | None
    most_calls: int | None
    batch: bool

    def check(self, models: "Sequence[ModelEntry]") -> None:
        """Raise RequestError where a limit cannot be kept."""
        from llm_icl.backends.base import backends

        for model in models:
            if self.most_cost is not None and backends.get(model.backend).priced and not model.price:
                raise RequestError(
                    f"--max-cost: no price is known for '{model.name}'; give it in a catalogue of your own, "
                    "or limit the calls with --max-calls"
                )

    def calling(self, cache: "CallCache", account: str) -> "Calling":
        from llm_icl.asking.budget import Budget
        from llm_icl.experiments.evaluation.run import Calling

        budget = Budget(self.most_cost, self.most_calls, *cache.spent(account))
        return Calling(cache, account, budget, self.at_once, self.batch)


def in_flight(text: str) -> int | None:
    """`auto`, or how many requests are in flight at a time."""
    from llm_icl.config.specs import whole_numbers

    return None if text == "auto" else whole_numbers("--concurrency", [text], 1)[0]


def models(
    texts: Sequence[str], base_url: str, catalogue: Path | None
) -> "tuple[tuple[ModelEntry, ...], tuple[TrainedNetwork, ...]]":
    """The language models and the networks of training runs that are named; without a name the embedded default."""
    from llm_icl.backends.catalogue import DEFAULT_MODEL, find_model
    from llm_icl.networks.trained import find_trained

    names = list(dict.fromkeys(name for text in texts or (DEFAULT_MODEL,) for name in split_models(text)))
    if "none" in names:
        if len(names) > 1:
            raise click.UsageError("--model none stands alone")
        return (), ()
    trained = {name: network for name in names if (network := find_trained(name))}
    entries = tuple(find_model(name, base_url, catalogue) for name in names if name not in trained)
    return entries, tuple(trained.values())


def split_models(text: str) -> list[str]:
    """A comma list of models; a comma before an option (`NAME:dtype=float32,chat=true`) does not divide."""
    names: list[str] = []
    for piece in text.split(","):
        if "=" in piece and ":" not in piece and names:
            names[-1] += f",{piece}"
        else:
            names.append(piece.strip())
    return names
