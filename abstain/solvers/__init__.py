"""Private. Solvers that know neither an estimator nor a paper: linear in NumPy, networks in torch."""
