"""The card, or the CPU in its place: its rates, how time is measured on it, and how errors are."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# A row of a table: what was measured, by column.
Row = dict[str, Any]


@dataclass(frozen=True)
class Card:
    """`toy`: small sizes, which check the code and measure nothing that matters."""

    device: torch.device
    toy: bool

    @classmethod
    def here(cls) -> "Card":
        gpu = torch.cuda.is_available()
        return cls(torch.device("cuda" if gpu else "cpu"), not gpu)

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"

    def about(self) -> Row:
        found: Row = {"device": "CPU", "torch": torch.__version__}
        if self.gpu:
            card = torch.cuda.get_device_properties(self.device)
            gigabytes = round(card.total_memory / 1e9, 1)
            found |= {
                "device": card.name,
                "GB": gigabytes,
                "cuda": torch.version.cuda,
                "cudnn": torch.backends.cudnn.version(),
            }
        return found

    def seconds(self, work: Callable[[], object], least: float = 0.2) -> float:
        """Seconds of one call: the median of five series that take `least` seconds together. A GPU's time is between
        two events in its stream, so that calls wait for it as they do in use.
        """
        work()
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        once = time.perf_counter() - began
        calls, series = max(1, round(least / 5 / max(once, 1e-6))), 5 if once < least else 3
        return statistics.median(self._series(work, calls) / calls for _ in range(1 if self.toy else series))

    def _series(self, work: Callable[[], object], calls: int) -> float:
        if not self.gpu:
            began = time.perf_counter()
            for _ in range(calls):
                work()
            return time.perf_counter() - began
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3  # it is in milliseconds

    def wait(self) -> None:
        """Until all work that was given to the card is done."""
        if self.gpu:
            torch.cuda.synchronize()

    def product_rate(self, dtype: torch.dtype) -> float:
        """FLOPs a second of a large matrix product."""
        size = 256 if self.toy else 8192
        a, b = (torch.randn(size, size, device=self.device).to(dtype) for _ in range(2))
        return 2 * size**3 / self.seconds(lambda: a @ b)

    @contextmanager
    def peak(self, row: Row) -> Iterator[None]:
        """Adds the greatest memory in use, in GB, to a row."""
        if self.gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        yield
        if self.gpu:
            row["GB"] = torch.cuda.max_memory_allocated() / 1e9

    def lower_precision(self, enabled: bool) -> torch.autocast:
        """bfloat16 where training uses it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


def difference(actual: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """The length of the difference of all numbers, as a part of that of the expected ones."""
    pairs = [(a.detach().double().cpu(), e.detach().double()) for a, e in zip(actual, expected, strict=True)]
    wrong = sum(float((a - e).square().sum()) for a, e in pairs)
    return (wrong / sum(float(e.square().sum()) for _, e in pairs)) ** 0.5


def copied(model: Any, made: Any, device: torch.device) -> Any:
    """The weights of a model in float32 on a device; `made` is another model of its kind."""
    made.load_state_dict({name: value.float() for name, value in model.state_dict().items()})
    return made.to(device)
