"""What to do about a selector that accepts everything, or nothing."""

PENALISED = {
    "none": "the penalty is too weak against the losses, or against a small prior. Raise lam or coverage, or use "
    "normalise=True.",
    "all": "likely the errors it learnt from were too few, or too faint in the features. Joint training sees errors on "
    'training samples alone, estimator=... held-out ones; rank_by="softmax" ranks without the selector.',
}
