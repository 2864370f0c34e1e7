"""From how many positions of a problem on is a whole curve the quicker way to ask vLLM? (SmolLM2-135M, float32, n = 7,
the positions spread evenly over 40; seconds for 4 problems, and for each problem the prompt tokens that were computed.)
"""

import tempfile
from pathlib import Path

import numpy as np

from llm_icl.backends import backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask
from tests.backends.vllm.weights import folder
from tests.benchmarks.timing import best, show


def main() -> None:
    entry = find_model(f"vllm/{folder()}:dtype=float32,eager=true,context=4096")
    model = backends.get("vllm").load(entry, Path())
    rows = []
    for count in (1, 2, 4, 8, 16, 40):
        positions = sorted({int(p) for p in np.linspace(39, 0, count)})
        times, computed = [], []
        for mode in ("curve", "positions"):
            # Other problems each time: nothing is kept from before.
            first_seed = 1000 * count + 500 * (mode == "curve")
            seeds = iter(range(first_seed, first_seed + 500))

            def work(mode=mode, seeds=seeds, positions=positions) -> None:
                problems = draw_problems(load_task(parse_specs(["majority"])[0]), 7, 40, 4, next(seeds))
                with tempfile.TemporaryDirectory() as place:
                    ask(model, "basic", problems, Path(place), mode, positions)

            before = dict(model.found())
            times.append(best(work, 2))
            after = model.found()
            tokens = {key: after[key] - before[key] for key in ("prompt_tokens", "cached_tokens")}
            computed.append((tokens["prompt_tokens"] - tokens["cached_tokens"]) / 8)
        rows.append([count, *times, *computed, times[1] / times[0]])
    show(rows, ["positions", "curve, s", "positions, s", "tokens, curve", "tokens, positions", "ratio"])
    model.close()


if __name__ == "__main__":
    main()
