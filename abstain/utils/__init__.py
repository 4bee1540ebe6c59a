"""Private. What every layer may use: warnings, optional imports, labels, validation, row fingerprints."""
