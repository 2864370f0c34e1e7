"""Problems → calls → replies → answers of a language model."""
