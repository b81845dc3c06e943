"""Trackers: runs where people already look. Nothing is written unless `--track` asks for it."""
