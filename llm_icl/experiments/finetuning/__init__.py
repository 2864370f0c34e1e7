"""In-context learning against finetuning on the same demonstrations."""
