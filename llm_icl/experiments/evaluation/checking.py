"""Checks of an evaluation before it starts."""

from llm_icl.backends import ModelEntry, backends
from llm_icl.backends.pool import ModelPool
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.evaluation.steps import learner_jobs, settings
from llm_icl.prompting.rendering import check_task, render
from llm_icl.tasks.drawing import draw_problems


def check(request: Request, will_ask: bool = True) -> None:
    """Check the request before work starts. Raises RequestError.

    The prerequisites of models (keys, memory) are not checked if no model will be called.
    """
    names = [model.name for model in request.models] + [network.name for network in request.trained]
    if len(set(names)) < len(names):
        raise RequestError("--model: the same model is given twice")
    for model in request.models if will_ask else ():
        backends.get(model.backend).check(model)
    for setting in settings(request):
        problems = draw_problems(setting.task, setting.n, request.points, request.problems, setting.seed)
        learner_jobs(request, setting)
        for prompt in request.prompts if request.models else ():
            check_task(prompt, setting.task)
            for position in request.positions:
                render(prompt, problems, 0, position)


def modes_of(request: Request, entry: ModelEntry, pool: ModelPool) -> list[str]:
    """The query modes of a model, in words, planned with the first problem of each setting.

    Raises RequestError if no mode is possible.
    """
    from llm_icl.asking.plan import plan_for

    model, found = pool.get(entry), []
    for setting in settings(request):
        problem = draw_problems(setting.task, setting.n, request.points, 1, setting.seed)
        for prompt in request.prompts:
            plan = plan_for(model, prompt, problem, request.positions, request.mode, request.repeats)
            because = f" ({'; '.join(plan.reasons)})" if plan.reasons else ""
            found.append(f"{entry.name} with prompt {prompt.name}: mode {plan.mode}{because}")
    return list(dict.fromkeys(found))
