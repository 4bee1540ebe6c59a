"""Linear classifiers: a probe on features of any size, and the last layer of a network."""
