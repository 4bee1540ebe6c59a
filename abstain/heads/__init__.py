"""Scorers that learn from held-out outcomes: the trust head and the selective head."""
