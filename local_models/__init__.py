"""Small sequence models that are trained from scratch. Nothing here knows of Boolean functions or of llm_icl."""
