"""Prints which candidates the probes can tell apart, and the calls with their estimated cost; nothing is sent."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from llm_icl.analysis.identification.separation import Separation
from llm_icl.asking.cache import CallCache
from llm_icl.config.specs import counted
from llm_icl.experiments.asker import Questions
from llm_icl.experiments.estimates import Estimate, estimate
from llm_icl.experiments.identification.answers_file import collected
from llm_icl.experiments.identification.findings import Identifiability
from llm_icl.experiments.identification.request import IdentificationRequest
from llm_icl.experiments.identification.sentences import about_seen


def print_plan(
    requests: Sequence[IdentificationRequest], cache_path: Path, batch: bool, say: Callable[[str], None]
) -> None:
    """The identifiability matrix of each setting, one line per model, and the total."""
    cache = CallCache(cache_path) if cache_path.is_file() else None
    whole, planned = Estimate(), set[str]()
    for request in requests:
        for setting in request.settings():
            probes = request.probes(setting)
            say(f"{setting}: {counted(request.contexts, 'context')} of {_listed(request.examples)} examples, "
                f"{counted(probes.design.shape[2], 'query')} behind each".replace("querys", "queries"))  # fmt: skip
            if about := about_seen(request.examples, probes.design.seen.tolist()):
                say(f"  {about}")
            for line in identifiability_lines(probes.separation, request.contexts):
                say(line)
            for entry in request.models:
                asked = [
                    Questions(str(setting), request.prompt, shown, (examples,), request.mode, request.repeats)
                    for examples, shown in probes.asked()
                ]
                how, calls = estimate(entry, asked, cache, batch, planned)
                say(f"  {entry.name}, prompt {request.prompt.name}: {calls}; {how}")
                whole += calls
        for file in request.answers:
            for setting, rows in file.settings:
                separation = collected(file, setting, rows, request.candidates).probes.separation
                contexts = len({row["problem"] for row in rows})
                say(f"{setting}, answers of {file.name}: {counted(contexts, 'context')}")
                for line in identifiability_lines(separation, contexts):
                    say(line)
    say(f"{whole}\ndry run: nothing was sent")


def identifiability_lines(separation: Separation, contexts: int) -> list[str]:
    """The problems needed to tell each pair apart with 95 % power, and what this number of contexts cannot."""
    names = separation.names
    rows = [
        [f"{i + 1} {name}", *("" if i == j else _problems(separation.needed[i, j]) for j in range(len(names)))]
        for i, name in enumerate(names)
    ]
    headers = ["if this is the truth, told from", *map(str, range(1, len(names) + 1))]
    lines = ["  contexts needed to tell candidates apart (95 % power, 20 % of coin flips):"]
    lines += [f"  {line}" for line in tabulate(rows, headers, stralign="right", disable_numparse=True).split("\n")]
    untold = Identifiability.of(separation, contexts).untold(contexts)
    return [*lines, *(f"  {contexts} contexts cannot tell apart: {these}" for these in untold)]


def _problems(needed: float) -> str:
    return "never" if np.isinf(needed) else f"{max(int(np.ceil(needed)), 1):,}" if needed < 1e5 else ">99,999"


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
