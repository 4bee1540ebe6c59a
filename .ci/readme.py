"""Run the Python block of the README as a reader would: it prints what the README says, or nearly."""

import contextlib
import io
import re
from pathlib import Path

NUMBER = r"-?\d+(?:\.\d+)?"

text = (Path(__file__).parents[1] / "README.md").read_text()
code, expected = re.search(r"```python\n(.*?)```\s*```\n(.*?)```", text, re.S).groups()
with contextlib.redirect_stdout(io.StringIO()) as out:
    exec(code)
found = out.getvalue()
said, came = (re.sub(r"\s+", " ", re.sub(NUMBER, "#", words)) for words in (expected, found))
assert said == came, f"the README says\n{expected}\nbut what came is\n{found}"
numbers = (map(float, re.findall(NUMBER, words)) for words in (expected, found))
# another processor may round a sample or two to the other side
assert all(abs(a - b) <= max(0.02, 0.05 * abs(a)) for a, b in zip(*numbers, strict=True)), (
    f"the README says\n{expected}\nnot\n{found}"
)
