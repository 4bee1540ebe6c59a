"""Distances to the nearest training samples."""
