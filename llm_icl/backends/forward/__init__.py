"""Forward passes of a model of transformers: checked, and shared by prompts that begin alike."""
