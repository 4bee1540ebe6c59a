"""Run the Python block of the README as a reader would."""

import re
from pathlib import Path

text = (Path(__file__).parents[1] / "README.md").read_text()
exec(re.search(r"```python\n(.*?)```", text, re.S).group(1))
