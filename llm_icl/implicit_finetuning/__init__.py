"""In-context learning against finetuning inside one model, after Dai et al. 2023 and its critics."""
