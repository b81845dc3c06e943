"""The ebm family."""
