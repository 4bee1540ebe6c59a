"""How a selector is used beside the softmax response of its own network, and what held-out samples say of it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from abstain.metrics import augrc
from abstain.metrics.paired import compare_augrc
from abstain.scores.probability import max_probability
from abstain.utils.html import html_text
from abstain.utils.validation import check_choice
from abstain.warnings import CollapseWarning, FewErrorsWarning, warn

KINDS = ("selector", "softmax", "product", "logit_sum")
MIN_ERRORS = 20


def selection_score(kind, logits, odds):
    """Score of every sample, from class logits (n, K) and the selector's log-odds of accepting (n,).

    "selector" and "softmax" are the two alone, as log-odds; "logit_sum" is their sum, and "product" the log-odds of
    the product of both probabilities. Nothing is rounded to a probability, so that saturated selectors do not tie.
    """
    response = max_probability(logits, input="logits")
    if kind == "selector":
        return odds
    if kind == "softmax":
        return response
    if kind == "logit_sum":
        return odds + response
    accept, refuse = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
    right, wrong = -np.logaddexp(0, -response), -np.logaddexp(0, response)
    return accept + right - np.logaddexp(refuse, accept + wrong)


@dataclass(frozen=True)
class SelectionReport:
    """What held-out samples say of one selector: AUGRC of each kind of score, smaller is better.

    The same samples chose the epoch, so that the areas flatter the kind that training was stopped by.

    Parameters
    ----------
    coverage : float
        Share that the selector was trained to accept.
    n, errors : int
        Held-out samples, and errors among them.
    augrc : dict of str to float
        By kind of score.
    difference, standard_error : dict of str to float
        Difference to the softmax response, and its paired standard error.
    chosen : str
        The kind in use.
    soft_coverage, hard_coverage : float
        Mean of the selector, and share of the samples that it accepts by itself (log-odds above 0).
    """

    coverage: float
    n: int
    errors: int
    augrc: dict
    difference: dict
    standard_error: dict
    chosen: str
    soft_coverage: float
    hard_coverage: float

    def __str__(self):
        lines = [
            f"{self.n} held-out samples, {self.errors} errors",
            f"coverage: {self.coverage:g} asked for, {self.hard_coverage:.3f} by the selector alone (soft "
            f"{self.soft_coverage:.3f})",
            f"{'score':<12}{'AUGRC':>9}{'to softmax response':>28}",
        ]
        for kind, area in self.augrc.items():
            gain = f"{self.difference[kind]:+.5f} +- {self.standard_error[kind]:.5f}"
            lines.append(f"{kind:<12}{area:>9.5f}{gain:>28}{'  in use' if kind == self.chosen else ''}")
        return "\n".join(lines)

    def _repr_html_(self):
        return html_text(self)


def report_selection(kind, coverage, logits, odds, codes) -> SelectionReport:
    """Compare the kinds of score on held-out samples, and choose one where ``kind`` is "auto".

    The softmax response is kept unless another kind has a smaller AUGRC by more than its paired standard error, and
    where there are fewer than ``MIN_ERRORS`` errors, or right predictions, to tell by.
    """
    check_choice(kind, "rank_by", (*KINDS, "auto"))
    correct = logits.argmax(axis=1) == codes
    scores = {name: selection_score(name, logits, odds) for name in KINDS}
    compared = {name: compare_augrc(correct, score, scores["softmax"]) for name, score in scores.items()}
    areas = {name: float(augrc(correct, score)) for name, score in scores.items()}
    enough = min(correct.sum(), (~correct).sum()) >= MIN_ERRORS
    better = [name for name, (difference, error) in compared.items() if enough and difference + error < 0]
    chosen = min(better, key=areas.__getitem__, default="softmax") if kind == "auto" else kind
    return SelectionReport(
        coverage, len(codes), int((~correct).sum()), areas,
        {name: difference for name, (difference, _) in compared.items()},
        {name: error for name, (_, error) in compared.items()},
        chosen, float(expit(odds).mean()), float((odds > 0).mean()),
    )  # fmt: skip


def report_all(kind, coverages, logits, odds, codes):
    """Report on each selector: reports by coverage, and held-out scores (n, n_coverages) of the kinds in use."""
    reports = {c: report_selection(kind, c, logits, column, codes) for c, column in zip(coverages, odds.T, strict=True)}
    scores = [selection_score(r.chosen, logits, u) for r, u in zip(reports.values(), odds.T, strict=True)]
    return reports, np.column_stack(scores)


def held_out_area(kind, logits, odds, codes):
    """AUGRC that training is stopped by: that of the kind in use, or of the best; the mean over selectors."""
    correct = logits.argmax(axis=1) == codes
    kinds = KINDS if kind == "auto" else (kind,)
    areas = [[augrc(correct, selection_score(k, logits, column)) for k in kinds] for column in odds.T]
    return float(np.mean(np.min(areas, axis=1)))


def warn_of_collapse(reports, odds, correct, causes, *, chosen):
    """Warn of selectors that abstain on everything, or accept everything in an order that says nothing.

    ``causes`` says, for "none" and for "all", what to change. Too few errors to tell are warned of instead: where a
    ranking should have been ``chosen`` by them, and where there are none.
    """
    errors = int((~correct).sum())
    few = min(errors, correct.size - errors) < MIN_ERRORS
    if few and (chosen or not errors):
        warn(
            f"{errors} errors and {correct.size - errors} right predictions were held out, too few to compare rankings "
            f'by ({MIN_ERRORS} of each are needed): "auto" is the softmax response. Give more data, or hold out more '
            "of it (cv). Without any errors: are these the training samples of a frozen estimator?",
            FewErrorsWarning,
        )
    if few:
        return
    for report, column in zip(reports, odds.T, strict=True):
        accepted = column > 0
        if report.coverage == 1 or (accepted.any() and not accepted.all()):
            continue
        if accepted.all() and _tells_errors(column, correct):
            continue
        what, cause = ("accepts", causes["all"]) if accepted.all() else ("abstains on", causes["none"])
        warn(
            f"the selector for a coverage of {report.coverage:g} {what} all {report.n} held-out samples "
            f"({report.errors} of them errors): {cause}",
            CollapseWarning,
        )


def _tells_errors(odds, correct):
    """Whether errors rank lower than chance explains."""
    right, wrong = odds[correct], odds[~correct]
    ranks = np.searchsorted(np.sort(wrong), right, side="left") + np.searchsorted(np.sort(wrong), right, side="right")
    area = ranks.mean() / (2 * wrong.size)
    return area - 0.5 > 2 * np.sqrt((odds.size + 1) / (12 * right.size * wrong.size))
