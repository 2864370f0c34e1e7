"""What learners are called in a report of one or several runs."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from llm_icl.problems import SHUFFLED

_QUERY = ("task", "n", "seed", "problem", "position")


@dataclass(frozen=True)
class Names:
    """The learners that are named with their prompt, since they were asked with several, and those that are named with
    their run, since they are not the same in several, or gave different answers to one query.
    """

    by_prompt: frozenset[str] = frozenset()
    by_run: frozenset[str] = frozenset()

    @classmethod
    def among(
        cls, predictions: pl.DataFrame, networks: Collection[str] = (), namesakes: frozenset[str] = frozenset()
    ) -> "Names":
        """Of predictions with a column `run`; `namesakes` are not the same in all runs. Only language models and
        networks may differ between runs; a model's control is named like the model.
        """
        without_control = pl.col("learner").str.strip_suffix(SHUFFLED)
        by_prompt = _several(predictions.with_columns(without_control), "prompt", ["learner"])
        may_differ = predictions.filter(pl.col("prompt").is_not_null() | pl.col("learner").is_in(list(networks)))
        # In the runs of a suite, hardly any learner is asked the same in two.
        asked = ["learner", "prompt", "task", "n"]
        repeated = may_differ.select(*asked, "run").unique().group_by(asked).agg(pl.len().alias("runs"))
        some = may_differ.join(repeated.filter(pl.col("runs") > 1), on=asked, how="semi", nulls_equal=True)
        answers = some.with_columns(answer=pl.struct("probability", "prediction", "status"))
        by_run = _several(answers, "answer", ["learner", "prompt", *_QUERY])
        return cls(by_prompt, namesakes.union(name.removesuffix(SHUFFLED) for name in by_run))

    def of(self, learner: str, prompt: str | None, run: str) -> str:
        model = learner.removesuffix(SHUFFLED)
        parts = [prompt] if model in self.by_prompt and prompt else []
        parts += [run] if model in self.by_run else []
        return f"{learner} [{', '.join(parts)}]" if parts else learner


def _several(rows: pl.DataFrame, column: str, keys: list[str]) -> frozenset[str]:
    """The learners with several values of a column for the same keys."""
    counts = rows.group_by(keys).agg(pl.col(column).n_unique().alias("values"))
    return frozenset(counts.filter(pl.col("values") > 1)["learner"])
