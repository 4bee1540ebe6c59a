"""What a decision is made of, as modules of torch in float32: features, logits, scores, and a threshold."""

import numpy as np
import torch
from torch import nn

from abstain.outputs import LOWEST


def linear(weight, bias):
    """A layer of given weights (n_out, n_in) and bias (n_out,)."""
    layer = nn.Linear(np.shape(weight)[1], np.shape(weight)[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weight, dtype=np.float32)))
        layer.bias.copy_(torch.from_numpy(np.array(bias, dtype=np.float32)))
    return layer


def scaled(mean, scale):
    """Columns less their means, over their scales."""
    scale = np.asarray(scale, dtype=np.float64)
    return Affine(1.0 / scale, -np.asarray(mean, dtype=np.float64) / scale)


class Affine(nn.Module):
    """A factor and a shift for each column."""

    factor: torch.Tensor
    shift: torch.Tensor

    def __init__(self, factor, shift):
        super().__init__()
        self.register_buffer("factor", torch.tensor(np.asarray(factor), dtype=torch.float32))
        self.register_buffer("shift", torch.tensor(np.asarray(shift), dtype=torch.float32))

    def forward(self, x):
        """Return (n, d)."""
        return torch.addcmul(self.shift, x, self.factor)


class Rectified(nn.Module):
    """Layers with rectifiers (or other functions) between them."""

    def __init__(self, layers, between=torch.relu):
        super().__init__()
        self.layers, self.between = nn.ModuleList(layers), between

    def forward(self, x):
        """Return (n, n_outputs)."""
        x = self.layers[0](x)
        for layer in list(self.layers)[1:]:
            x = layer(self.between(x))
        return x


class TwoClasses(nn.Module):
    """Logits of two classes from the log-odds of the second."""

    def forward(self, z):
        """Return (n, 2)."""
        return torch.cat([-z / 2, z / 2], dim=1)


class Tempered(nn.Module):
    """Logits over a temperature, and a share of the uniform distribution mixed in.

    Parameters
    ----------
    temperature, share : float
        Temperature, and share.
    lowest : float or None
        Log-probability, less the largest, below which all is read as about one nat less; None where logits are asked.
    """

    def __init__(self, temperature, share, lowest):
        super().__init__()
        self.temperature, self.share, self.lowest = float(temperature), float(share), lowest

    def forward(self, logits):
        """Return log-probabilities (n, K)."""
        if self.lowest is not None:
            logits = logits - logits.amax(dim=1, keepdim=True)
            floor = self.lowest - 1.0 + torch.exp((logits - self.lowest).clamp_max(0.0))
            logits = torch.where(logits < self.lowest, floor, logits)
        proba = torch.softmax(logits / self.temperature, dim=1)
        return torch.log((1.0 - self.share) * proba + self.share / logits.shape[1])


class Pixels(nn.Module):
    """Features of images, which are bytes (n, 3, H, W) of the size that the network takes."""

    def __init__(self, body, layer, config):
        super().__init__()
        self.body, self.layer, self.config = body, layer, config

    def forward(self, images):
        """Return (n, d)."""
        from abstain.backbones import networks

        return networks.features(self.body, self.layer, networks.normalised(images, self.config))


def others(log_proba, label):
    """Log-probability of a class of each row, (n,), and of all others, (n, K) with -inf at it."""
    at = torch.arange(log_proba.shape[1], device=log_proba.device) == label[:, None]
    own = torch.where(at, log_proba, torch.zeros_like(log_proba)).sum(dim=1)
    return own, torch.where(at, torch.full_like(log_proba, -torch.inf), log_proba)


def log_total(log_proba):
    """Logarithm of the sum of probabilities of each row, finite where all are zero."""
    return torch.logsumexp(log_proba, dim=1).clamp_min(LOWEST)


def log_odds(log_proba, label):
    """Log-odds of a class of each row, (n,)."""
    own, rest = others(log_proba, label)
    return own.clamp_min(LOWEST) - log_total(rest)


def logit(proba):
    """Log-odds of probabilities in float64, finite where they are rounded to 0 or 1."""
    proba = proba.clamp(1e-300, 1 - 2.0**-53)
    return torch.log(proba) - torch.log1p(-proba)


def compressed(odds, limit=30.0):
    """Log-odds that grow by a logarithm beyond ``limit`` nats."""
    excess = (odds.abs() - limit).clamp_min(0.0)
    return odds.clamp(-limit, limit) + 10.0 * torch.sign(odds) * torch.log1p(excess / 10.0)


def confidence(log_proba, label, top=5):
    """Confidence features, as heads see them: (n, min(top, K) + 3)."""
    own, rest = others(log_proba, label)
    largest = compressed(log_proba.clamp_min(LOWEST)).topk(min(top, log_proba.shape[1]), dim=1).values
    lead = own.exp() - rest.amax(dim=1).exp()
    proba = log_proba.exp()
    nats = -torch.where(proba > 0, proba * log_proba, torch.zeros_like(proba)).sum(dim=1)
    odds = compressed(own.clamp_min(LOWEST) - log_total(rest))
    return torch.cat([largest, lead[:, None], nats[:, None], odds[:, None]], dim=1)


class MaxProbability(nn.Module):
    """Log-odds of the answer."""

    def forward(self, features, logits, log_proba, label):
        """Return (n,)."""
        return log_odds(log_proba, label)


class Margin(nn.Module):
    """Lead of the answer over the best other class."""

    def forward(self, features, logits, log_proba, label):
        """Return (n,)."""
        _, rest = others(log_proba, label)
        return -torch.logaddexp(log_total(rest), rest.amax(dim=1).clamp_min(LOWEST))


class MaxLogit(nn.Module):
    """Largest logit."""

    def forward(self, features, logits, log_proba, label):
        """Return (n,)."""
        return logits.amax(dim=1)


class Energy(nn.Module):
    """Logarithm of the sum of exponentials of logits."""

    def forward(self, features, logits, log_proba, label):
        """Return (n,)."""
        return torch.logsumexp(logits, dim=1)


class Recalibrated(nn.Module):
    """P(correct) by an affine map of log-odds that are bounded by what samples can speak of."""

    def __init__(self, limit, weight, intercept):
        super().__init__()
        self.limit, self.weight, self.intercept = float(limit), float(weight), float(intercept)

    def forward(self, features, logits, log_proba, label):
        """Return log-odds, (n,)."""
        odds = log_odds(log_proba, label)
        excess = (odds.abs() - self.limit).clamp_min(0.0)
        bounded = odds.clamp(-self.limit, self.limit) + 0.01 * torch.sign(odds) * torch.log1p(excess)
        return self.weight * bounded + self.intercept


class Head(nn.Module):
    """A trust head on features, confidence features and the answer.

    Parameters
    ----------
    body : Module
        ``columns -> (n, 1)``, or (n, h) before the offsets of the answers.
    offsets : Tensor of shape (K, h) or None
        Added after the first layer.
    sees : {"both", "features", "confidence"}
        What the columns are.
    link : callable
        Raw output -> estimated target, of the loss.
    recalibration : tuple of float or None
        Factor and intercept of its log-odds.
    """

    def __init__(self, layers, offsets, sees, link, recalibration):
        super().__init__()
        self.first, self.rest = layers[0], nn.ModuleList(layers[1:])
        self.offsets = None if offsets is None else nn.Embedding.from_pretrained(offsets)
        self.sees, self.link, self.recalibration = sees, link, recalibration

    def forward(self, features, logits, log_proba, label):
        """Return log-odds, (n,), in float64: sure ones are told apart."""
        columns = {
            "both": lambda: torch.cat([features, confidence(log_proba, label)], dim=1),
            "features": lambda: features,
            "confidence": lambda: confidence(log_proba, label),
        }[self.sees]()
        a = self.first(columns)
        if self.offsets is not None:
            a = a + self.offsets(label)
        for layer in self.rest:
            a = layer(torch.relu(a))
        odds = logit(self.link(a[:, 0].double()))
        if self.recalibration is None:
            return odds
        factor, intercept = self.recalibration
        return factor * odds + intercept


class Faded(nn.Module):
    """Log-odds that are in part those of a head, and in part those of maximum probability.

    Parameters
    ----------
    head, link : Module
        The head, and how what it says becomes its score.
    confidence : Recalibrated
        The other part.
    share, slope, intercept : float
        Of the head; and of the mixture.
    """

    def __init__(self, head, link, confidence, share, slope, intercept):
        super().__init__()
        self.head, self.link, self.confidence = head, link, confidence
        self.share, self.slope, self.intercept = float(share), float(slope), float(intercept)

    def forward(self, *seen):
        """Return log-odds, (n,), in float64."""
        odds = logit(self.link(self.head(*seen)).double())
        return self.slope * (self.share * odds + (1 - self.share) * self.confidence(*seen)) + self.intercept


class Link(nn.Module):
    """How what a scorer says becomes the score, and a threshold of that becomes one of what it says.

    Parameters
    ----------
    uniform : float or None
        Share of one half that is mixed into the logistic function of log-odds; None leaves what the scorer says.
    """

    def __init__(self, uniform=None):
        super().__init__()
        self.uniform = uniform

    def forward(self, rank):
        """Return the score."""
        if self.uniform is None:
            return rank
        return torch.sigmoid(rank) * (1.0 - self.uniform) + self.uniform / 2

    def threshold(self, threshold):
        """The threshold of what the scorer says, rounded up to float32."""
        if self.uniform is not None:
            share = np.clip((threshold - self.uniform / 2) / (1.0 - self.uniform), 0.0, 1.0)
            with np.errstate(divide="ignore"):
                threshold = np.log(share) - np.log1p(-share)
        rounded = np.float32(threshold)
        # a comparison with a float of Python would round that to float32
        return rounded if float(rounded) >= threshold else np.nextafter(rounded, np.float32(np.inf))


class Decision(nn.Module):
    """Features or images in; answer, probabilities, score and verdict out.

    Parameters
    ----------
    shared : Module
        ``x -> features``, which the scorer sees.
    classifier : Module
        Logits (n, K), from these features, or from ``x`` where it has its ``own``.
    own : bool
        Whether it has.
    scorer : Module
        ``(features, logits, log_proba, label) -> (n,)``.
    threshold : float
        Of the score, at or above which an answer is accepted; rounded towards abstention.
    link : Link
        From what the scorer says to the score.
    classes : list
        Labels.

    Attributes
    ----------
    classes : list
        What the numbers of the answers stand for.
    """

    def __init__(self, shared, classifier, own, scorer, threshold, link, classes):
        super().__init__()
        self.shared, self.classifier, self.own, self.scorer, self.link = shared, classifier, own, scorer, link
        self.register_buffer("threshold", torch.tensor(link.threshold(threshold), dtype=torch.float32))
        self.classes = classes

    def forward(self, x):
        """Decide.

        Parameters
        ----------
        x : Tensor of shape (n, d) or (n, 3, H, W)
            Features in float32; or images as bytes, of the size that the network takes.

        Returns
        -------
        label : Tensor of shape (n,) of int64
            Answer, as an index into ``classes``, whether it is accepted or not.
        proba : Tensor of shape (n, K)
            Class probabilities.
        score : Tensor of shape (n,)
            As of ``score_samples``.
        accept : Tensor of shape (n,) of bool
            Whether the answer may be acted on.
        """
        features = self.shared(x)
        logits = self.classifier(x if self.own else features)
        log_proba = torch.log_softmax(logits, dim=1)
        label = logits.argmax(dim=1)
        rank = self.scorer(features, logits, log_proba, label)
        # as the estimator, which says nothing of them; a bounded unit would hide them
        bounded = ~torch.isinf(x).flatten(1).any(dim=1)
        return label, log_proba.exp(), self.link(rank).float(), (rank.float() >= self.threshold) & bounded
