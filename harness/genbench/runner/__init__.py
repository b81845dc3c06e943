"""Carrying runs out: the training loop, the budget clock, one run from spec to record, processes, progress."""
