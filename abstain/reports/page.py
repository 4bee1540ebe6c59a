"""One self-contained page: what is answered, what is promised, and where it goes wrong."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from abstain.metrics import RiskCoverageDisplay, aurc, missing_coverage, reliability_curve
from abstain.metrics._held_out import held_out
from abstain.policies import TargetCoverage, TargetRisk
from abstain.reports.pictures import picture
from abstain.reports.style import STYLE
from abstain.scores import max_probability
from abstain.utils.unwrap import unwrap
from abstain.utils.validation import check_groups

_WORST = 20
_SUSPECT = 0.05  # probability of a label below which it is called suspect


def report(
    model: Any, X: Any, y: ArrayLike, path: str | Path, *, groups: ArrayLike | None = None, label_errors: Any = None,
    title: str | None = None,
) -> Path:  # fmt: skip
    """Write one HTML page on a fitted selective classifier, from labelled test data.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one.
    X : array-like of shape (n_samples, n_features)
        Test data, which neither ``fit`` nor `fit_policy` has seen.
    y : array-like of shape (n_samples,)
        Their labels.
    path : str or Path
        The file to write; what was there is replaced once the page is complete.
    groups : array-like of shape (n_samples,), default=None
        Groups to be told apart on the page.
    label_errors : LabelErrors, default=None
        What `find_label_errors` says of the same samples, so that errors of the labels, of less than 5 % probability,
        can be told from those of the classifier.
    title : str, default=None
        Its title; None names the classifier.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.
    ValueError
        If labels or groups do not fit the data, or the folder of the page does not exist.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_wine
    >>> import abstain
    >>> X, y = load_wine(return_X_y=True)
    >>> est = abstain.SelectiveClassifier(cv=2).fit(X[::2], y[::2])
    >>> abstain.report(est, X[1::2], y[1::2], Path(tempfile.mkdtemp()) / "wine.html").name
    'wine.html'
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise ValueError(f"path is {str(path)!r}, in a folder that does not exist; make it first.")
    held = held_out(model, X, y)
    n = len(held.labels)
    groups = None if groups is None else check_groups(groups, n)
    policy = held.classifier.policy_
    own = policy.thresholds(n, groups) if isinstance(policy.threshold_, dict) else None
    accept = held.known & (held.score >= own if own is not None else policy.accept(held.score))
    checked = None
    if held.classifier.loss_means_ != "errors":  # what is promised, measured as it is promised
        classifier, data = unwrap(model, X)
        checked = classifier.check(data, y, groups=groups)
    name = title or f"{type(held.classifier).__name__} of {_inner(held.classifier)}"
    parts = [
        _figures(held, accept, checked), _promise(policy, held.classifier.loss_means_), _pictures(held, accept),
        _missing(held, accept, policy, label_errors),
        _by(held, accept, groups, "group") if groups is not None else "",
        _by(held, accept, held.labels, "class") if len(held.classifier.classes_) <= 50 else "", _worst(held, accept),
    ]  # fmt: skip
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{escape(name)}</h1>{''.join(parts)}</body></html>"
    )
    part = path.with_name(path.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
    return path


def _inner(classifier):
    inner = getattr(classifier, "estimator_", None)
    inner = getattr(inner, "estimator", inner)
    return "its own network" if inner is None else type(inner).__name__


def _interval(k, n):
    """Clopper-Pearson interval of a share, 95 %."""
    low = betaincinv(k, n - k + 1, 0.025) if k else 0.0
    high = betaincinv(k + 1, n - k, 0.975) if k < n else 1.0
    return float(low), float(high)


def _share(k, n):
    """A share in words, with its interval."""
    if not n:
        return "none"
    low, high = _interval(k, n)
    return f"{100 * k / n:.1f} % <small>[{100 * low:.1f}, {100 * high:.1f}]</small>"


def _figures(held, accept, checked):
    """The numbers that are read first."""
    n, correct = len(accept), held.correct
    wrong = int((~correct & accept).sum())
    top = max_probability(np.nan_to_num(held.proba, nan=1 / held.proba.shape[1]))
    kind = "" if checked is None else ", taken as single classes"
    cards = [
        ("right, if everything is answered", _share(int(correct.sum()), n)),
        ("answered", _share(int(accept.sum()), n)),
        ("wrong among the answers" + kind, _share(wrong, int(accept.sum()))),
        ("errors that are held back", _share(int((~correct & ~accept).sum()), int((~correct).sum()))),
    ]
    if checked is not None and checked.accepted:
        mean = f"{100 * checked.errors / checked.accepted:.1f} %"
        cards.append((f"mean {held.classifier.loss_means_}, of what is answered", mean))
    if 0 < correct.sum() < n:
        ratio = aurc(correct, held.score) / aurc(correct, top)
        cards.append(("area under the risk-coverage curve, of that of maximum probability", f"{ratio:.2f}"))
    boxes = "".join(f"<div><b>{value}</b><span>{label}</span></div>" for label, value in cards)
    return f'<section class="cards">{boxes}</section><p class="note">{n} test samples; in brackets 95 % intervals.</p>'


def _promise(policy, losses):
    """The certificate in words."""
    certificate = policy.certificate_
    if not certificate.guaranteed:
        why = "the policy promises none, or its calibration data could not bear one"
        if certificate.disjoint is False:
            why = "the calibration data were seen in fit"
        return f'<section><h2>What is promised</h2><p class="warn">Nothing is guaranteed: {why}.</p></section>'
    confidence = f"with confidence {100 * (1 - certificate.delta):g} %"
    if isinstance(policy, TargetCoverage):
        promise = f"Share answered: at least {100 * certificate.bound:.1f} %, {confidence}"
    elif np.isnan(certificate.delta):
        promise = f"Wrong answers among all samples: at most {100 * certificate.target:g} %, on average"
    else:
        asked = "" if np.isnan(certificate.target) else f" (asked for: {100 * certificate.target:g} %)"
        what = "Errors among the answers" if losses == "errors" else f"Mean {losses}, of what is answered"
        promise = f"{what}: at most {100 * certificate.bound:.1f} %, {confidence}{asked}"
    conditions = [
        "new data come as the calibration data did; a RiskMonitor watches whether that is so",
        "the calibration data were used for nothing else"
        + ("" if certificate.disjoint else ", which could not be checked here"),
    ]
    if certificate.clusters is not None:
        conditions.append(f"the {certificate.clusters} clusters are independent of each other")
    items = "".join(f"<li>{text}</li>" for text in conditions)
    return (
        f"<section><h2>What is promised</h2><p><b>{promise}.</b> Chosen on "
        f"{certificate.n} samples, of which {certificate.accepted} are answered, {_total(certificate.errors, losses)}. "
        f"It holds if</p><ul>{items}</ul></section>"
    )


def _total(errors, losses):
    return f"{errors:g} wrongly" if losses == "errors" else f"at a sum of {errors:.4g}"


def _pictures(held, accept):
    """Risk against coverage beside maximum probability, and whether scores are probabilities."""
    top = max_probability(np.nan_to_num(held.proba, nan=1 / held.proba.shape[1]))

    def curves(ax):
        RiskCoverageDisplay.from_predictions(held.correct, top, name="maximum probability", ax=ax, color="0.55")
        RiskCoverageDisplay.from_predictions(held.correct, held.score, name="this score", ax=ax, color="tab:blue")
        if accept.any():
            ax.plot(accept.mean(), (~held.correct[accept]).mean(), "o", color="tab:blue", markersize=8)
        ax.set_title("Errors among the answers, by how much is answered", fontsize=10)

    figures = [(curves, "Risk against coverage; the dot is the threshold in use.")]
    score = held.score[held.known]
    if score.size and held.classifier.score_means_ == "P(correct)":

        def reliability(ax):
            right = held.correct[held.known]
            confidence, frequency, share = reliability_curve(right, score, n_bins=10, strategy="mass")
            counts = np.rint(share * right.size).astype(int)
            bounds = [_interval(round(f * n), int(n)) for f, n in zip(frequency, counts, strict=True)]
            error = np.abs(np.transpose(bounds) - frequency)
            ax.plot([0, 1], [0, 1], color="0.7", linestyle="--")
            ax.errorbar(confidence, frequency, yerr=error, fmt="o", color="tab:blue", capsize=2)
            ax.set(xlabel="Score", ylabel="Share that is right", xlim=(0, 1), ylim=(0, 1))
            ax.set_title("Does a score of 0.9 mean nine in ten?", fontsize=10)

        figures.append((reliability, "Scores as probabilities: on the diagonal they mean what they say."))
    shown = "".join(
        f'<figure><img alt="{escape(text)}" src="{picture(draw)}"><figcaption>{text}</figcaption></figure>'
        for draw, text in figures
    )
    return f'<section class="pictures">{shown}</section>'


def _missing(held, accept, policy, label_errors):
    """Where the coverage that is missing at the target risk has gone."""
    target = policy.certificate_.target
    if not isinstance(policy, TargetRisk) or not 0 < target < 1:
        return ""
    suspect = None
    if label_errors is not None:
        if len(getattr(label_errors, "p_given", ())) != len(accept):
            raise ValueError(
                f"label_errors must be what find_label_errors says of the same {len(accept)} samples; got "
                f"{type(label_errors).__name__}."
            )
        suspect = label_errors.p_given < _SUSPECT
    missing = missing_coverage(held.correct, held.score, accept, target, suspect=suspect, random_state=0)
    rows = []
    for name, meaning in missing.causes():
        if name == "labels" and suspect is None:
            continue
        low, high = missing.intervals[name]
        share = f"{100 * getattr(missing, name):.1f} % <small>[{100 * low:.1f}, {100 * high:.1f}]</small>"
        rows.append(f"<tr><td>{name}</td><td>{share}</td><td>{meaning}</td></tr>")
    note = "" if suspect is not None else " Errors of labels count as those of the classifier."
    return (
        f"<section><h2>Where the missing coverage goes</h2><p>At a risk of {100 * target:g} %, "
        f"{100 * missing.coverage:.1f} % are answered. The rest is due to:{note}</p><div class='wide'><table><tr>"
        f"<th>cause</th><th>share of all samples</th><th>what helps</th></tr>{''.join(rows)}</table></div></section>"
    )


def _by(held, accept, labels, what):
    """Coverage and risk of each group or class, the worst first."""
    rows = []
    for label in np.unique(labels):
        mine = labels == label
        answered = mine & accept
        wrong = int((answered & ~held.correct).sum())
        rows.append((wrong / max(answered.sum(), 1), str(label), int(mine.sum()), int(answered.sum()), wrong))
    rows.sort(key=lambda row: (-row[0], row[1]))
    body = "".join(
        f"<tr><td>{escape(label)}</td><td>{n}</td><td>{_share(answered, n)}</td><td>{_share(wrong, answered)}</td></tr>"
        for _, label, n, answered, wrong in rows
    )
    return (
        f"<section><h2>By {what}</h2><div class='wide'><table><tr><th>{what}</th><th>samples</th><th>answered</th>"
        f"<th>wrong among the answers</th></tr>{body}</table></div></section>"
    )


def _worst(held, accept):
    """The errors that were trusted most."""
    wrong = np.flatnonzero(~held.correct & held.known)
    order = wrong[np.argsort(-held.score[wrong], kind="stable")][:_WORST]
    rows = [
        (i, escape(str(held.labels[i])), escape(str(held.answers[i])), f"{held.score[i]:.3f}",
         f"{np.nanmax(held.proba[i]):.3f}", "yes" if accept[i] else "no")
        for i in order
    ]  # fmt: skip
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        "<section><h2>The most surprising errors</h2><div class='wide'><table><tr><th>sample</th><th>label</th>"
        f"<th>answer</th><th>score</th><th>probability</th><th>answered</th></tr>{body}</table></div></section>"
    )
