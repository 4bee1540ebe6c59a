"""Names in single backticks are found wherever they are defined; ``nitpicky`` makes an error of one that is not."""

from docutils import nodes
from sphinx.util.nodes import make_refnode


def _resolve(app, env, node, content):
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    target, objects = node["reftarget"], env.get_domain("py").objects
    found = {
        (entry.docname, entry.node_id)
        for name, entry in objects.items()
        if name.endswith(f".{target}") and not entry.aliased
    }
    if len(found) != 1:
        return None
    text = nodes.literal("", "", *content.children, classes=content["classes"])
    return make_refnode(app.builder, node["refdoc"], *found.pop(), text, target)


def setup(app):
    """Run after intersphinx, which knows other libraries."""
    app.connect("missing-reference", _resolve, priority=900)
    return {"parallel_read_safe": True}
