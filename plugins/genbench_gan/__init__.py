"""The gan family."""
