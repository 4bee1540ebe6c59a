"""Links to the pages of other libraries, by inventories that are made here, since a build may have no network.

``elsewhere.txt`` names what these pages speak of: a line with a library and its address, then its objects, each with
its kind and its page, where $ is the name. The inventories of the libraries themselves would have to be fetched.
"""

import zlib
from pathlib import Path

_HEAD = (
    "# Sphinx inventory version 2\n# Project: {}\n# Version: \n# The remainder of this file is compressed using zlib.\n"
)


def inventories(listing, folder):
    """Write an inventory for each library of the listing; return the mapping that intersphinx asks for."""
    mapping, entries = {}, {}
    for line in filter(None, Path(listing).read_text().splitlines()):
        first, *rest = line.split()
        if not line.startswith(" "):
            library = first
            mapping[library] = (rest[0], str(Path(folder) / f"{library}.inv"))
            entries[library] = []
        else:
            role, page = rest
            entries[library].append(f"{first} {role} 1 {page.replace('$', first)} -\n")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for library, lines in entries.items():
        body = zlib.compress("".join(lines).encode())
        Path(mapping[library][1]).write_bytes(_HEAD.format(library).encode() + body)
    return mapping
