"""References begin with initials, which reStructuredText takes for the numbers of a list."""

import re


def _escape(app, what, name, found, options, lines):
    inside = False
    for i, line in enumerate(lines):
        if line.strip() and set(line.strip()) == {"-"}:
            inside = lines[i - 1].strip() == "References"
        elif inside:
            lines[i] = re.sub(r"^(\s*)([A-Z])\. ", r"\1\2\\. ", line)


def setup(app):
    """Run before numpydoc, which puts the section into its place."""
    app.connect("autodoc-process-docstring", _escape, priority=400)
    return {"parallel_read_safe": True}
