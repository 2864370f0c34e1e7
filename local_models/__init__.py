"""Small sequence models trained from scratch; independent of Boolean functions and of llm_icl."""
