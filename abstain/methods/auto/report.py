"""What was tried by AutoTrust, what it showed, and what it costs."""

from typing import NamedTuple

from abstain.utils.html import html_text


class SecondOpinionReport(NamedTuple):
    """A second classifier that answers more accurately than the first; areas are held-out AURC."""

    name: str
    accuracy: float
    own: float  # of its own maximum probability
    stacked: float  # of the stack around it

    def __str__(self):
        return (
            f"{self.name} is right more often: {self.accuracy:.3f} of its answers; AURC of its maximum probability "
            f"{self.own:.5f}, of AutoTrust around it {self.stacked:.5f}"
        )

    def _repr_html_(self):
        return html_text(self)


class StackReport(NamedTuple):
    """What was tried, what held-out samples say of it, and what was kept."""

    n: int
    errors: int
    accuracy: float  # of the classifier
    baseline: float  # AURC of maximum probability, within folds
    score: float  # AURC of the score that is used
    sources: tuple  # (name, seconds, used)
    checks: tuple  # of the stack at the share that was kept, or at the smallest that was tried
    share: float  # of the stack in the log-odds; the rest is maximum probability
    weights: dict  # by topic, how much it moves the log-odds: standard deviation over held-out samples
    opinions: tuple  # second classifiers that are more accurate
    chosen: str
    seconds: float  # of the fit of the stack
    size: int  # bytes of what is needed to score, without scorers that were given

    def __str__(self):
        lines = [
            f"{self.n} held-out samples, {self.errors} errors; chosen: {self.chosen}",
            f"AURC {self.score:.5f}, of maximum probability {self.baseline:.5f}",
        ]
        if self.checks:
            lines.append(f"{'':<32}{'stack':>10}{'max prob':>10}")
        lines += [str(check) for check in self.checks]
        if self.weights:
            lines.append(f"share of the stack {self.share:.2f}; standard deviation of the log-odds by topic")
            lines += [f"  {topic:<30}{weight:>10.2f}" for topic, weight in self.weights.items()]
        for name, seconds, used in self.sources:
            lines.append(f"source: {name:<24}{seconds:>9.1f} s{'' if used else ', out of time'}")
        if self.opinions:
            lines.append(f"The classifier is right in {self.accuracy:.3f} of its answers.")
        lines += [str(opinion) for opinion in self.opinions]
        return "\n".join([*lines, f"fitted in {self.seconds:.1f} s; {self.size / 1e6:.1f} MB"])

    def _repr_html_(self):
        return html_text(self)
