"""The ae family."""
