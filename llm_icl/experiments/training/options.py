"""The options of a training run."""

from dataclasses import dataclass
from typing import Literal

from llm_icl.config.options import option
from llm_icl.errors import RequestError
from llm_icl.experiments.options import TaskOptions
from llm_icl.tasks.options import DEFAULT_N


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(TaskOptions):
    """Options left at None: learning rate and optimiser depend on the network, there is no curriculum, and validation
    is on the training tasks.
    """

    architecture: str = option("transformer")
    """Architecture (llm-icl list architectures), or a pretrained LM with new read-in and read-out layers."""
    task: tuple[str, ...] = option()
    """Training task; several tasks are mixed, problem by problem."""
    test: tuple[str, ...] = option((), shown="the same as --task")
    """Validation task."""
    n: int = option(DEFAULT_N, minimum=1)
    """Number of input bits."""
    points: int = option(40, minimum=2, maximum=10_000)
    """Points per problem."""
    layers: int = option(3, minimum=1, maximum=1_000)
    """Number of layers."""
    width: int = option(64, minimum=1, maximum=100_000)
    """Residual stream width (d_model)."""
    parameters: str | None = option(None)
    """Choose the width to match a number of parameters: 200k, 1.5M."""
    steps: int = option(2000, minimum=1, maximum=10**9)
    """Training steps."""
    batch_size: int = option(64, minimum=1, maximum=1_000_000)
    """Batch size in problems."""
    optimiser: Literal["muon", "adamw", "adam"] | None = option(None, shown="muon; adamw if pretrained")
    """Optimiser; adam is as in Bhattamishra et al."""
    rate: float | None = option(None, above=0, shown="0.008; 0.001 if pretrained")
    """Peak learning rate."""
    stop_at: float = option(1.0, above=0, maximum=1)
    """Stop early at this accuracy on the last half of the points."""
    evaluate_every: int = option(100, minimum=1)
    """Steps between evaluations."""
    keep_checkpoints: bool = option(False)
    """Keep the networks of steps 0, 1, 2, 5, 10, 20, 50, … (--model RUN@STEP); report which algorithm each runs."""
    bfloat16: bool = option(False)
    """Multiply in bfloat16 on a CPU too, as on a GPU: 1.2 to 1.6 times faster if the CPU has it."""
    start_n: int | None = option(None, minimum=1, shown="n")
    """Curriculum: initial number of bits."""
    start_points: int | None = option(None, minimum=1, shown="points")
    """Curriculum: initial number of points."""
    seed: int = option(0, minimum=0)
    """Seed of initial weights and problems."""

    def __post_init__(self) -> None:
        for start, whole in (("start_n", "n"), ("start_points", "points")):
            if (getattr(self, start) or 1) > getattr(self, whole):
                raise RequestError(
                    f"--{start.replace('_', '-')} {getattr(self, start)} is above --{whole} {getattr(self, whole)}"
                )

    @property
    def parameter_count(self) -> int | None:
        """200k, 1.5M or a plain number. Raises RequestError if invalid."""
        if self.parameters is None:
            return None
        text = self.parameters
        factor = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1.0)
        try:
            number = float(text if factor == 1.0 else text[:-1]) * factor
        except ValueError:
            number = 0.0
        if not 1 <= number < 1e12:
            raise RequestError(f"'{text}' is not a number of parameters: write 200k or 1.5M")
        return int(number)
