"""What notebooks show: tables, and texts as they are printed."""

from html import escape


def html_text(report):
    """What ``print`` shows of a report, for a notebook."""
    return f'<pre style="line-height:1.35">{escape(str(report))}</pre>'


def html_table(head, rows):
    """A table of texts."""
    style = 'style="text-align:left;vertical-align:top"'
    lines = [
        f"<tr>{''.join(f'<{tag} {style}>{escape(str(cell))}</{tag}>' for cell in row)}</tr>"
        for tag, row in [("th", head), *(("td", row) for row in rows)]
    ]
    return f"<table>{''.join(lines)}</table>"
