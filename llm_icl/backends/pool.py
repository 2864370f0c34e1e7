"""The models of a piece of work, one loaded at a time."""

import logging
from pathlib import Path

from llm_icl.backends.base import LanguageModel, ModelEntry, backends

log = logging.getLogger(__name__)


class ModelPool:
    """Loads a model when it is asked for, and gives the one before back: two large ones need not fit together.

    What a model logs goes into the folder `logs`.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._entry: ModelEntry | None = None
        self._model: LanguageModel | None = None

    def get(self, entry: ModelEntry) -> LanguageModel:
        """The model, ready to be asked. Raises RequestError where it cannot be had."""
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
