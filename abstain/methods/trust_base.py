"""What the presets of trust have in common: a head on features, or one whose backbone learns with it."""

from typing import Any

from abstain.heads.trust_head import TrustHead
from abstain.heads.tuned_head import TunedTrustHead
from abstain.selective.posthoc import BasePostHoc
from abstain.utils.validation import check_flag


class BaseTrust(BasePostHoc):
    """Base of the presets, which name a loss: ``_make_scorer`` returns ``self._head(loss, ...)``."""

    fit_backbone = False
    hidden: Any = ()
    checkpoint: Any = None
    training: Any = None
    recalibrator: Any = None

    def _head(self, loss, **options):
        shared = {
            "head_inputs": self.head_inputs, "recalibrator": self.recalibrator, "training": self.training,
            "random_state": self.random_state,
        }  # fmt: skip
        if not check_flag(self.fit_backbone, "fit_backbone"):
            if self.checkpoint is not None:
                raise ValueError(f"checkpoint is for fit_backbone=True; got {self.checkpoint!r} without it.")
            return TrustHead(loss, hidden=self.hidden, **shared, **options)
        if self.estimator is None:
            raise ValueError(
                "fit_backbone needs estimator=, the classifier to be trusted, which takes the images: for example "
                "FrozenEstimator(make_pipeline(backbone, backbone.linear_head()))."
            )
        if len(self.hidden):
            raise ValueError(f"hidden must be () with fit_backbone: the network is deep already; got {self.hidden!r}.")
        return TunedTrustHead(loss, self.backbone, checkpoint=self.checkpoint, **shared, **options)

    def _sees(self):
        return "images" if self.fit_backbone else super()._sees()
