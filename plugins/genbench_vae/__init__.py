"""The vae family."""
