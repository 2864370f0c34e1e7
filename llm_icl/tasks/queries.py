"""The queries that options ask for."""

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.prompting.exporting import Queries
from llm_icl.prompting.rendering import check_task
from llm_icl.prompting.templates import load_prompt
from llm_icl.tasks.drawing import draw_each
from llm_icl.tasks.options import QueryOptions, read_positions


def queries(options: QueryOptions) -> list[Queries]:
    """Of each task at each n. Raises RequestError."""
    prompts = parse_specs([options.prompt])
    if len(prompts) > 1:
        raise RequestError(f"--prompt takes one prompt, not '{options.prompt}'")
    prompt, positions = load_prompt(prompts[0], options.prompts_dir), read_positions(options.positions, options.points)
    drawn = draw_each(options)
    for problems in drawn:
        check_task(prompt, problems.task)
    return [Queries(problems, prompt, positions) for problems in drawn]
