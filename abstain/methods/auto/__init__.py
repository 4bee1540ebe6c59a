"""AutoTrust: sources of columns, learners on them, a guarded stack, and its explanation."""
