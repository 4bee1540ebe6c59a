"""Examples from the first that a reader needs to the last."""

ORDER = (
    "plot_quickstart", "plot_saved_logits", "plot_auto_trust", "plot_guarantee", "plot_pipeline_search",
    "plot_calibration", "plot_label_errors", "plot_difficulty", "plot_scod", "plot_learned_selection", "plot_hierarchy",
    "plot_dense", "plot_language_model", "plot_finetune", "plot_monitoring", "plot_shipping", "imagenet_features",
    "finetune", "cluster",
)  # fmt: skip


class FirstToLast:
    """Sort key of the gallery; an example that has no place yet is an error."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        return ORDER.index(name.removesuffix(".py"))
