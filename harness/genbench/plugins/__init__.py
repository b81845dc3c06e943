"""What was found and from where: hooks, entries, guarded discovery, the catalogue."""
