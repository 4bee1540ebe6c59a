"""Write the nouns that come with the package anew: those of its data sets, and all that they are kinds of.

python .ci/nouns.py FOLDER, which holds data.noun of WordNet 3.0. The data sets are those that the file lists already.
"""

import re
import sys
from pathlib import Path

from abstain.semantics.wordnet import SHIPPED, nouns_of


def main(folder):
    before = SHIPPED.read_text(encoding="utf-8").partition("\n[nouns]\n")[0]
    synsets = re.findall(r"^(n\d{8})\t", before, flags=re.MULTILINE)
    nouns = nouns_of(synsets, folder)
    lines = ["\t".join((key, "; ".join(noun.lemmas), " ".join(noun.parents))) for key, noun in sorted(nouns.items())]
    SHIPPED.write_text("\n".join([before, "[nouns]", *lines, ""]), encoding="utf-8")
    print(f"{len(nouns)} nouns, {SHIPPED.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
