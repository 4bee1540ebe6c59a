"""Formulas as MathML, which browsers draw by themselves: pages need no network, and no script."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def inline(writer, node):
    """A formula within a line."""
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block(writer, node):
    """A formula on lines of its own."""
    # what scrolls sideways cuts off above and below: strokes and exponents reach beyond the line they are told to have
    style = "overflow:auto hidden;padding:.6em 0"
    writer.body.append(f'<div style="{style}">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
