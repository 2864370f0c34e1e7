"""The options of a comparison of in-context learning with finetuning."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llm_icl.config.options import option
from llm_icl.errors import RequestError
from llm_icl.experiments.options import TaskOptions

# The candidates of Dai et al. 2023.
_PAPER = tuple(digit * power for power in (1e-4, 1e-3, 1e-2, 1e-1) for digit in range(1, 10))


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions(TaskOptions):
    """Which model, on which texts, and how."""

    model: str | None = option(None, shown="the embedded default")
    """Language model that runs in this process."""
    dataset: str = option()
    """Labelled texts (llm-icl list datasets), or the YAML file of a card."""
    data_dir: Path | None = option(None, shown="the hub", exists="folder")
    """Folder with NAME/SPLIT.jsonl, .csv, .tsv or .parquet."""
    demonstrations: int | None = option(None, minimum=1, maximum=10_000, shown="the card's")
    """Number of demonstrations."""
    examples: int = option(200, minimum=2, maximum=10**9)
    """Number of queries."""
    seed: tuple[int, ...] = option((1, 2, 3), minimum=0)
    """Seeds that draw demonstrations; fewer than three give no conclusion about similarity."""
    rates: str = option("0.0001,0.0003,0.001,0.003,0.01,0.03,0.1")
    """Learning rates of gradient descent to choose from; 'paper' for the paper's 36."""
    choose_on: Literal["training", "evaluation"] = option("training")
    """Choose learning rates (and the best seed) on other texts, or, as in the paper, on the queries."""
    best_seed: bool = option(False)
    """As in the paper, report only the seed with the highest accuracy in context."""
    too_many: Literal["refuse", "cut"] = option("refuse")
    """If not all demonstrations fit the context: refuse, or cut them for both, context and finetuning."""
    too_long: Literal["refuse", "drop"] = option("refuse")
    """If a text is too long for the context together with all demonstrations: refuse, or leave it out."""
    separator: Literal["newline", "end"] = option("newline")
    """Between demonstrations: a line break, or, as in the paper, the end-of-text token."""
    controls: bool = option(True)
    """Also finetune on other demonstrations, on shuffled labels, in another order, and finetune an untrained model."""

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """Raises RequestError where they are not numbers above 0."""
        if self.rates == "paper":
            return _PAPER
        try:
            rates = tuple(dict.fromkeys(float(part) for part in self.rates.split(",")))
        except ValueError:
            rates = ()
        if not rates or not all(0 < rate < 1e6 for rate in rates):
            raise RequestError(f"--rates '{self.rates}' is not a list of numbers above 0: write 0.001,0.01 or paper")
        return rates
