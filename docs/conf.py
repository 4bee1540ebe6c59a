"""Sphinx settings."""

import sys
import warnings
from pathlib import Path

import abstain

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
from elsewhere import inventories  # noqa: E402

project = "abstain"
author = "The abstain developers"
copyright = "2026, The abstain developers"
version = release = abstain.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "mathml",
    "initials",
    "references",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # words that have no entry here
numpydoc_xref_aliases = {
    "memmap": "numpy.memmap",
    "Path": "pathlib.Path",
    "joblib.Memory": "joblib.Memory",
    "torch.nn.Module": "torch.nn.Module",
    "FrozenEstimator": "sklearn.frozen.FrozenEstimator",
    "MetadataRouter": "sklearn.utils.metadata_routing.MetadataRouter",
    "Policy": "abstain.policies.Policy",
    "ClassLoss": "abstain.losses.ClassLoss",
    "TrustLoss": "abstain.losses.TrustLoss",
    "ClassOutputs": "abstain.outputs.ClassOutputs",
    "ClassTree": "abstain.semantics.ClassTree",
    "Ladder": "abstain.semantics.Ladder",
    "Folds": "abstain.folds.Folds",
    **{name: f"abstain.{name}" for name in ("Certificate", "ClassSemantics", "FineTuning", "TimmBackbone", "Training")},
}
intersphinx_mapping = inventories(HERE / "_extensions/elsewhere.txt", HERE / "_build/elsewhere")
default_role = "py:obj"
nitpicky = True
templates_path = ["_templates"]
autodoc_inherit_docstrings = True
autodoc_typehints = "none"  # the tables of parameters say more
exclude_patterns = ["_build", "gallery/*.ipynb", "_*_table.rst"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": False,
    "navigation_depth": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "jobs": []},  # lines of code need the width
    "header_links_before_dropdown": 5,
}
html_title = "abstain"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": "gallery_order.FirstToLast",
    "remove_config_comments": True,
    "show_memory": False,
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "backreferences_dir": "gallery/of",
    "doc_module": ("abstain",),
    "copyfile_regex": r".*\.rst",
}
suppress_warnings = ["config.cache"]
warnings.filterwarnings("ignore", category=UserWarning, message=".*FigureCanvasAgg is non-interactive.*")
html_math_renderer = "mathml"
html_sidebars = {name: [] for name in ("index", "measured", "api")}  # nothing is beside them
