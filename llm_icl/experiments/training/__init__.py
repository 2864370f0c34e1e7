"""A network that learns in context."""
