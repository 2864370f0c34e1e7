"""A pool of models, one loaded at a time."""

import logging
from pathlib import Path

from llm_icl.backends.base import LanguageModel, ModelEntry, backends

log = logging.getLogger(__name__)


class ModelPool:
    """Loads a model on request and unloads the previous one: two large models need not fit together.

    Logs of models go into the folder `logs`.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._entry: ModelEntry | None = None
        self._model: LanguageModel | None = None

    def get(self, entry: ModelEntry) -> LanguageModel:
        """The loaded model. Raises RequestError if it is unavailable."""
        if self._model is None or entry != self._entry:
            self.close()
            log.info("loading %s", entry.name)
            self._model = backends.get(entry.backend).load(entry, self._logs)
            self._entry = entry
        return self._model

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._entry = self._model = None
