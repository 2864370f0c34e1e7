"""Checks of an identification before it starts."""

from llm_icl.backends import ModelEntry, backends
from llm_icl.backends.pool import ModelPool
from llm_icl.errors import RequestError
from llm_icl.experiments.asker import Questions
from llm_icl.experiments.candidates import algorithms, refusal_of_choice
from llm_icl.experiments.identification.request import IdentificationRequest
from llm_icl.learners.base import learner_of
from llm_icl.prompting.rendering import check_task, render
from llm_icl.tasks.drawing import draw_problems


def check(request: IdentificationRequest, will_ask: bool = True) -> None:
    """Check the request before work starts. Raises RequestError.

    The prerequisites of models (keys, memory) are not checked if no model will be called.
    """
    names = [model.name for model in request.models] + [network.name for network in request.trained]
    names += [str(spec) for spec in request.learners] + [file.name for file in request.answers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RequestError(f"the subject '{twice[0]}' is given twice")
    for model in request.models if will_ask else ():
        backends.get(model.backend).check(model)
    for setting in request.settings():
        if len(algorithms(setting.task, setting.n, request.candidates)) < 2:
            raise RequestError(f"{setting}: one candidate is not enough, name several")
        points = max(request.examples) + 1
        problem = draw_problems(setting.task, setting.n, points, 1, setting.seed)
        for spec in request.learners:
            if refusal := refusal_of_choice(learner_of(spec), setting.task, setting.n):
                raise RequestError(f"learner '{spec}': {refusal}")
        for network in request.trained:
            if refusal := network.refusal(setting.task, setting.n, points):
                raise RequestError(refusal)
        if request.models:
            check_task(request.prompt, setting.task)
            render(request.prompt, problem, 0, points - 1)


def modes_of(request: IdentificationRequest, entry: ModelEntry, pool: ModelPool) -> list[str]:
    """The query modes of a model, in words, planned with the first problem of each setting.

    Raises RequestError if no mode is possible.
    """
    model, found = pool.get(entry), []
    for setting in request.settings():
        for examples in request.examples:
            problem = draw_problems(setting.task, setting.n, examples + 1, 1, setting.seed)
            asked = Questions(str(setting), request.prompt, problem, (examples,), request.mode, request.repeats)
            plan = asked.plan(model)
            because = f" ({'; '.join(plan.reasons)})" if plan.reasons else ""
            found.append(f"{entry.name} with prompt {request.prompt.name}: mode {plan.mode}{because}")
    return list(dict.fromkeys(found))
