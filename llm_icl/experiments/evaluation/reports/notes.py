"""Notes on a report's numbers and runs."""

from collections import Counter

from llm_icl.analysis.comparisons import MARGIN, POWER
from llm_icl.analysis.scores import TARGET
from llm_icl.asking.replies import LEAST_MASS
from llm_icl.config.specs import counted
from llm_icl.experiments.evaluation.reports.content import Content
from llm_icl.learners.ceilings import notes_on
from llm_icl.problems import Task
from llm_icl.reports.networks import FLOPS_NOTE


def notes_of(content: Content) -> list[str]:
    """Notes on the numbers and on these runs."""
    records = content.records.values()
    notes = [
        "Intervals are 95 %, with the problem as the unit; differences are paired by problem.",
        "A reply that is no answer (unreadable, cut off, refused) counts as wrong; a question that an error or its "
        "length left unanswered does not count.",
        "A learner answers 1 if P(y = 1) > 0.5; ties are answered 0.",
        "nearest-neighbour breaks ties by the earliest example unless its options say otherwise.",
        "Regret: accuracy of exact Bayes minus the learner's; empty if exact Bayes is not among the learners.",
        "[too few]: too few problems, or too few that differ, for an interval that covers 95 %; identical: the same "
        "answers throughout.",
        f"Examples needed: until the expected accuracy is {100 * TARGET:.0f} %; 'not shown' if the problems do not "
        "show that it is reached, 'not reached' if they show that it is not.",
        "Overconfidence: mean confidence, max(P, 1 - P), minus accuracy; 0 in expectation for a calibrated learner.",
        "Shuffled labels: the same prompts with the labels of each problem permuted.",
    ]
    if any(record["models"] for record in records):
        notes.append(
            "Modes: curve, all positions of a problem from one pass; echo, the same from one request; positions, a "
            "prompt for each query; top, its most probable next tokens; generate, a reply that is read."
        )
        notes.append(
            "P(y = 1) of a language model is normalised over the two labels. Probability on the labels: the mean of "
            f"P(0) + P(1) among all tokens; an answer with less than {100 * LEAST_MASS:g} % is unparseable."
        )
    if any(record.get("networks") for record in records):
        notes.append(FLOPS_NOTE)
    for record in records:
        request = record["request"]
        notes += notes_on(record["seconds"], [Task(**task) for task in request["tasks"]], request["n"])
        for task in request["tasks"]:
            kept = "rejected and redrawn" if task["drop_constant"] else "allowed"
            notes.append(f"Task {task['name']}: constant functions are {kept}.")
        notes += [f"Skipped learner: {reason}." for reason in record["skipped"]]
    return list(dict.fromkeys([*notes, *_modes(content)]))


def comparison_notes(comparisons: int) -> list[str]:
    """How the comparisons of the verdicts are corrected."""
    if not comparisons:
        return []
    return [
        f"Verdicts: {counted(comparisons, 'comparison')}, corrected together (Holm): the probability that any 'above' "
        "or 'below' is false is at most 5 %. Their intervals, and those of the overview, are adjusted, and "
        "wider than the others.",
        f"'Within {100 * MARGIN:.0f} points' means that the whole interval is. What a run resolves, and the number of "
        f"problems that find a difference, are for a probability of {100 * POWER:.0f} %.",
    ]


def _modes(content: Content) -> list[str]:
    """The query modes of the models, one note for each mode and reason, and answers without a probability."""
    asked: dict[str, list[str]] = {}
    without: Counter[tuple[str, str]] = Counter()
    modes = ((run, mode) for run, record in content.records.items() for mode in record["modes"])
    for run, mode in modes:
        because = f" ({'; '.join(mode['because'])})" if mode["because"] else ""
        called = content.called.of(mode["learner"], None, run)
        who = f"{called} with prompt {mode['prompt']}"
        if mode.get("agreement") is not None:
            because += f", with repeats that agree in {100 * mode['agreement']:.1f} %,"
        where = asked.setdefault(f"{who}: mode {mode['mode']}{because} on ", [])
        where.append(mode["cell"])
        for reason, count in mode.get("without_probability", {}).items():
            without[who, reason] += count
    found = [f"{how}{'; '.join(cells)}." for how, cells in asked.items()]
    return found + [
        f"{who}: {counted(count, 'answer')} without a probability ({reason})."
        for (who, reason), count in without.items()
    ]
