"""Nouns of WordNet 3.0: what a synset is called, and what it is a kind of."""

import os
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

SHIPPED = Path(__file__).with_name("nouns.txt")
# the database files of a system, of the original distribution, and of NLTK's data
_PLACES = (
    "/usr/share/wordnet", "/usr/local/share/wordnet", "/usr/share/WordNet/dict", "/usr/local/WordNet-3.0/dict",
    "~/nltk_data/corpora/wordnet", "/usr/share/nltk_data/corpora/wordnet", "/usr/local/share/nltk_data/corpora/wordnet",
)  # fmt: skip
_RELEASE = b"WordNet 3.0"
_REMEDY = (
    "Install them (Debian: apt-get install wordnet-base; or WordNet-3.0.tar.gz of Princeton University, or NLTK's "
    "corpus wordnet) and pass the folder that holds data.noun as path="
)


class Noun(NamedTuple):
    """A synset: words that mean one thing."""

    lemmas: tuple[str, ...]
    parents: tuple[str, ...]  # ids of hypernyms, and of the classes of an instance


class Sense(NamedTuple):
    """One meaning of a word."""

    synset: str
    lemmas: tuple[str, ...]
    gloss: str


class Shipped(NamedTuple):
    """What comes with the package: the nouns of some data sets, all that they are kinds of, and the data sets."""

    nouns: dict[str, Noun]
    sets: dict[str, list[tuple[str, ...]]]  # name of a data set to (synset, name) of its classes, in order


def nouns_of(synsets, path=None) -> dict[str, Noun]:
    """Read synsets and all that they are kinds of.

    Parameters
    ----------
    synsets : sequence of str
        Ids such as "n02084071": "n", and the offset in ``data.noun`` of WordNet 3.0.
    path : str or Path, default=None
        Folder of the database files. None takes those that come with the package where they hold all synsets, and looks
        in the usual places otherwise, and in ``WNSEARCHDIR`` and ``WNHOME``.

    Returns
    -------
    nouns : dict of str to Noun
        By id.

    Raises
    ------
    FileNotFoundError
        If there are no database files.
    ValueError
        If a synset is unknown, or the files are of another release.
    """
    shipped = shipped_nouns().nouns
    wanted = [_checked(synset) for synset in synsets]
    if path is None and all(synset in shipped for synset in wanted):
        return _closure(wanted, shipped.__getitem__)
    with _opened(folder_of(path)) as file:
        return _closure(wanted, lambda synset: _parsed(_record(file, synset))[0])


def senses(word: str, path: str | Path | None = None) -> list[Sense]:
    """Look up the meanings of a noun, the most frequent first: the first need not be what a class means.

    Parameters
    ----------
    word : str
        A noun, singular.
    path : str or Path, default=None
        Folder of the database files; None looks in the usual places.

    Returns
    -------
    senses : list of Sense
        Each with ``synset``, the id that `ClassSemantics.from_wordnet` takes, ``lemmas`` and ``gloss``. Empty for a
        word that is not there.

    Raises
    ------
    FileNotFoundError
        If there are no database files.
    """
    folder, key = folder_of(path), word.strip().lower().replace(" ", "_").encode() + b" "
    with _opened(folder) as file:
        with (folder / "index.noun").open("rb") as index:
            entry = next((line for line in index if line.startswith(key)), None)
        if entry is None or key == b" ":  # lines of the header begin with a space
            return []
        fields = entry.decode("ascii", "replace").split()
        found = [f"n{offset}" for offset in fields[-int(fields[2]) :]]
        return [Sense(synset, *_meaning(_record(file, synset))) for synset in found]


@contextmanager
def _opened(folder):
    """The file of nouns, if it is of the right release."""
    with (folder / "data.noun").open("rb") as file:
        if _RELEASE not in file.read(4096):
            raise ValueError(
                f"path holds {file.name}, which does not say that it is of {_RELEASE.decode()}: ids are offsets, and "
                f"differ from release to release. {_REMEDY}."
            )
        yield file


def folder_of(path=None) -> Path:
    """Folder of the database files of WordNet."""
    home, search = os.environ.get("WNHOME"), os.environ.get("WNSEARCHDIR")
    usual = [search, f"{home}/dict" if home else None, *_PLACES]
    places = [path] if path is not None else [place for place in usual if place]
    for place in places:
        folder = Path(place).expanduser()
        if (folder / "data.noun").is_file():
            return folder
    looked = f"in {Path(places[0])}" if path is not None else f"in the usual places ({', '.join(map(str, places))})"
    raise FileNotFoundError(f"path: no database files of WordNet 3.0 (data.noun) {looked}. {_REMEDY}.")


@cache
def shipped_nouns() -> Shipped:
    """Nouns that come with the package."""
    nouns: dict[str, Noun] = {}
    sets: dict[str, list[tuple[str, ...]]] = {}
    rows: list[tuple[str, ...]] = []
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            rows = sets.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            rows.append(tuple(line.split("\t")))
    for synset, lemmas, parents in sets.pop("nouns"):
        nouns[synset] = Noun(tuple(lemmas.split("; ")), tuple(parents.split()))
    return Shipped(nouns, sets)


def _checked(synset):
    if (
        isinstance(synset, str)
        and len(synset) == 9
        and synset[0] == "n"
        and synset[1:].isdecimal()
        and synset.isascii()
    ):
        return str(synset)
    raise ValueError(
        f"synsets must be ids of nouns in WordNet 3.0, such as 'n02084071' (dog); got {synset!r}. The ids of a word: "
        f"abstain.semantics.senses({str(synset)!r})."
    )


def _closure(synsets, look_up):
    found, waiting = {}, list(dict.fromkeys(synsets))
    while waiting:
        synset = waiting.pop()
        if synset not in found:
            found[synset] = look_up(synset)
            waiting.extend(found[synset].parents)
    return found


def _record(file, synset):
    """The line of a synset; its id is the place where it begins."""
    file.seek(int(synset[1:]))
    line = file.readline().decode("utf-8", "replace")
    if not line.startswith(f"{synset[1:]} "):
        raise ValueError(f"synsets: {synset!r} is not a noun of WordNet 3.0; ids of other releases differ.")
    return line


def _parsed(line):
    data, _, gloss = line.partition("|")
    fields = data.split()
    n_words = int(fields[3], 16)
    words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2])
    pointers = fields[5 + 2 * n_words :]
    above = zip(pointers[::4], pointers[1::4], pointers[2::4], strict=False)
    return Noun(words, tuple(f"n{offset}" for kind, offset, pos in above if kind in ("@", "@i") and pos == "n")), gloss


def _meaning(line):
    noun, gloss = _parsed(line)
    return noun.lemmas, gloss.strip()
