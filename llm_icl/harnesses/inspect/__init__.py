"""For inspect_ai, which finds this module by its entry point: the task `llm_icl/boolean`, and the models of this
package as `llm_icl/NAME`.
"""

from llm_icl.harnesses.inspect.models import llm_icl
from llm_icl.harnesses.inspect.scoring import label
from llm_icl.harnesses.inspect.task import boolean

__all__ = ["boolean", "label", "llm_icl"]
