"""What the presets of trust have in common: a head on features, or one whose backbone learns with it."""

from typing import Any

from abstain.heads.trust_head import TrustHead
from abstain.heads.tuned_head import TunedTrustHead
from abstain.selective.posthoc import BasePostHoc


class BaseTrust(BasePostHoc):
    """Base of the presets, which name a loss: ``_make_scorer`` returns ``self._head(loss, ...)``."""

    hidden: Any = ()
    recalibrator: Any = None

    def _head(self, loss, **options):
        shared = {
            "head_inputs": self.head_inputs, "recalibrator": self.recalibrator, "training": self.training,
            "random_state": self.random_state,
        }  # fmt: skip
        if not self.fit_backbone:
            return TrustHead(loss, hidden=self.hidden, **shared, **options)
        if len(self.hidden):
            raise ValueError(f"hidden must be () with fit_backbone: the network is deep already; got {self.hidden!r}.")
        return TunedTrustHead(loss, self.backbone, checkpoint=self.checkpoint, **shared, **options)

    def _check_parts(self):
        super()._check_parts()
        if self.fit_backbone and self.estimator is None:
            raise ValueError(
                "fit_backbone needs estimator=, the classifier to be trusted, which takes the images: for example "
                "FrozenEstimator(make_pipeline(backbone, backbone.linear_head()))."
            )

    def _sees(self):
        return "images" if self.fit_backbone else super()._sees()
