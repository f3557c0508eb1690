"""Runs as a user meets them again: chosen, compared, shown, and had again."""
