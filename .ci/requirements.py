"""Print the requirements of some extras, one a line, resolved from pyproject.toml.

The virtual environments of the Makefile hold dependencies alone and are shared between clones; they are keyed by
this list, so that nothing is reinstalled while it stays the same. With --minimum, the core comes in the oldest versions
that are declared.
"""

import sys
import tomllib
from pathlib import Path


def requirements(project, extras):
    """Core dependencies and those of the extras, following references of an extra to others."""
    found = list(project["dependencies"])
    for extra in extras:
        for item in project["optional-dependencies"][extra]:
            if item.startswith(f"{project['name']}["):
                found += requirements(project, item.split("[")[1].rstrip("]").split(","))
            else:
                found.append(item)
    return sorted(set(found))


def oldest(project, found):
    """Requirements with the core in its oldest versions."""
    return [item.replace(">=", "==") if item in project["dependencies"] else item for item in found]


if __name__ == "__main__":
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = [argument for argument in sys.argv[1:] if argument != "--minimum"]
    found = requirements(pyproject, extras)
    print("\n".join(oldest(pyproject, found) if "--minimum" in sys.argv else found))
