"""Learned selection: what all have in common, and the papers as presets."""
