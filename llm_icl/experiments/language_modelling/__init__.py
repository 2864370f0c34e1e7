"""Attentions compared in language modelling."""
