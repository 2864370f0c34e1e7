"""The models of a piece of work, one loaded at a time."""

import logging

from llm_icl.backends.base import LanguageModel, backends
from llm_icl.backends.catalogue import ModelEntry
from llm_icl.backends.remote import RemoteModel

log = logging.getLogger(__name__)


class ModelPool:
    """Loads a model when it is asked for, and gives the one before back: two large ones need not fit together."""

    def __init__(self) -> None:
        self._entry: ModelEntry | None = None
        self._model: LanguageModel | None = None

    def get(self, entry: ModelEntry) -> LanguageModel:
        """The model, ready to be asked. Raises RequestError where it cannot be had."""
        if self._model is None or entry != self._entry:
            self.close()
            log.info("loading %s", entry.name)
            model = backends.get(entry.backend)(entry)
            if isinstance(model, RemoteModel):
                model.connect()
            self._entry, self._model = entry, model
        return self._model

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._entry = self._model = None
