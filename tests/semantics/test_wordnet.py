"""WordNet: a database of five nouns written by hand, the nouns that come with the package, and the real files."""

from pathlib import Path

import pytest

from abstain.semantics import ClassSemantics, senses, wordnet
from abstain.semantics.wordnet import folder_of, nouns_of, shipped_nouns

RETRIEVER, LABRADOR, CAT, BEER_BOTTLE = "n02099601", "n02099712", "n02121620", "n02823428"
# words, pointers (symbol, place of the target in this list, part of speech), gloss
NOUNS = [
    (["entity"], [("~", 1, "n")], "all there is"),
    (["living_thing", "being"], [("@", 0, "n"), ("~", 3, "n")], "it lives; it grows"),
    (["pet"], [("@", 0, "n"), ("+", 1, "v")], "kept for pleasure"),
    (["dog", "hot_dog"], [("@", 1, "n"), ("%p", 4, "n"), ("@", 2, "n"), ("@", 4, "v")], "it barks | loudly"),
    (["Rex", *"abcdefghijklmno"], [("@i", 3, "n")], "a famous dog"),  # 16 words, which are counted in base 16
]
HEADER = "  1 This is a file of WordNet {release}, which nobody has checked.  \n"


def _written(folder, release="3.0"):
    """Write the database; ids of its nouns, in order."""
    folder.mkdir(exist_ok=True)
    header = HEADER.format(release=release)

    def record(i, ids):
        words, pointers, gloss = NOUNS[i]
        named = " ".join(f"{word} 0" for word in words)
        targets = " ".join(f"{kind} {ids[at]} {pos} 0000" for kind, at, pos in pointers)
        return f"{ids[i]} 03 n {len(words):02x} {named} {len(pointers):03d} {targets} | {gloss}  \n"

    at, ids = len(header), []
    for i in range(len(NOUNS)):
        ids.append(f"{at:08d}")
        at += len(record(i, ["0" * 8] * len(NOUNS)))
    (folder / "data.noun").write_text(header + "".join(record(i, ids) for i in range(len(NOUNS))), newline="\n")
    index = [("dog", [3, 2]), ("hot_dog", [3]), ("pet", [2])]
    lines = [
        f"{word} n {len(at)} 2 @ ~ {len(at)} 1 {' '.join(ids[i] for i in at)}  \n" for word, at in index
    ]  # lemma pos synset_cnt p_cnt symbols sense_cnt tagsense_cnt offsets
    (folder / "index.noun").write_text(header + "".join(lines), newline="\n")
    return [f"n{offset}" for offset in ids]


@pytest.fixture
def database(tmp_path):
    return tmp_path, _written(tmp_path)


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No database of the machine is found."""
    monkeypatch.delenv("WNHOME", raising=False)
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    there = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: path.is_relative_to(tmp_path) and there(path))


def test_a_noun_and_all_above_it_are_read(database):
    folder, (entity, being, pet, dog, rex) = database
    assert nouns_of([rex], folder) == {
        rex: (("Rex", *"abcdefghijklmno"), (dog,)),
        dog: (("dog", "hot dog"), (being, pet)),
        being: (("living thing", "being"), (entity,)),
        pet: (("pet",), (entity,)),
        entity: (("entity",), ()),
    }


def test_only_nouns_above_are_parents(database):
    folder, ids = database
    assert nouns_of([ids[2]], folder).keys() == {ids[2], ids[0]}


def test_semantics_of_a_database_have_the_shortest_path_over_both_parents(database):
    folder, (_, being, pet, dog, rex) = database
    semantics = ClassSemantics.from_wordnet([rex, pet, being], path=str(folder))
    assert semantics.classes.tolist() == [rex, pet, being]
    assert semantics.distance("path").tolist() == [[0, 2, 2], [2, 0, 2], [2, 2, 0]]
    assert semantics.names == ("Rex", "pet", "living thing")
    assert dog not in semantics.tree.labels


def test_a_class_above_another_has_a_leaf_of_its_own(database):
    folder, (_, _, pet, dog, rex) = database
    semantics = ClassSemantics.from_wordnet([dog, rex, pet], path=folder)
    assert semantics.tree.labels[:3] == [dog, rex, pet]
    assert semantics.tree.n_classes == 3
    assert semantics.leaves("dog") == [dog, rex]
    assert semantics.distance("path")[0].tolist() == [0, 1, 1]


def test_the_release_is_looked_at(tmp_path):
    ids = _written(tmp_path, release="3.1")
    with pytest.raises(ValueError, match=r"path.*WordNet 3\.0"):
        nouns_of(ids, tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path.*data\.noun.*absent"):
        nouns_of(["n00000001"], tmp_path / "absent")


@pytest.mark.usefixtures("nowhere")
def test_where_there_is_no_database_it_says_what_to_install():
    with pytest.raises(FileNotFoundError, match=r"path: no database files .*usual places.*wordnet-base"):
        folder_of()


@pytest.mark.parametrize("shift", [1, 10**7])
def test_an_id_that_is_no_record_is_refused(database, shift):
    folder, ids = database
    strange = f"n{int(ids[1][1:]) + shift:08d}"
    with pytest.raises(ValueError, match=f"synsets: '{strange}' is not a noun of WordNet 3.0"):
        nouns_of([strange], folder)


@pytest.mark.parametrize("synset", ["dog", "02084071", "v02084071", "n2084071", "n020840711", "n0208407x", 2084071])
def test_ids_of_another_form_are_refused(synset):
    with pytest.raises(ValueError, match="synsets must be ids of nouns"):
        ClassSemantics.from_wordnet([synset, "n02084071"])


def test_synsets_that_come_twice_are_refused():
    with pytest.raises(ValueError, match="synsets must be different"):
        ClassSemantics.from_wordnet([CAT, RETRIEVER, CAT])


def test_senses_come_in_the_order_of_the_index(database):
    folder, (_, _, pet, dog, _) = database
    found = senses("dog", path=folder)
    assert [sense.synset for sense in found] == [dog, pet]
    assert found[0].lemmas == ("dog", "hot dog")
    assert found[1].gloss == "kept for pleasure"


def test_a_gloss_may_hold_a_bar(database):
    assert senses("dog", path=database[0])[0].gloss == "it barks | loudly"


def test_words_are_looked_up_in_any_case_and_with_spaces(database):
    folder, ids = database
    assert [sense.synset for sense in senses(" Hot Dog ", folder)] == [ids[3]]


@pytest.mark.parametrize("word", ["cat", "do", "hot", "dog n"])
def test_a_word_that_is_not_there_has_no_senses(database, word):
    assert senses(word, database[0]) == []


@pytest.mark.parametrize(
    "word",
    [
        "",
        "-",
    ],
)
def test_no_word_has_no_senses(database, word):
    assert senses(word, database[0]) == []


def test_senses_look_at_the_release(tmp_path):
    _written(tmp_path, release="3.1")
    with pytest.raises(ValueError, match=r"path.*WordNet 3\.0"):
        senses("dog", tmp_path)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(("variable", "inside"), [("WNSEARCHDIR", "."), ("WNHOME", "dict")])
def test_the_folder_may_be_in_the_environment(tmp_path, monkeypatch, variable, inside):
    ids = _written(tmp_path / inside)
    monkeypatch.setenv(variable, str(tmp_path))
    assert [sense.synset for sense in senses("pet")] == [ids[2]]
    assert folder_of() == tmp_path / inside


@pytest.mark.usefixtures("nowhere")
def test_a_folder_that_is_given_goes_before_the_environment(tmp_path, monkeypatch):
    _written(tmp_path / "one")
    _written(tmp_path / "other")
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "one"))
    assert folder_of(tmp_path / "other") == tmp_path / "other"


@pytest.mark.usefixtures("nowhere")
def test_shipped_nouns_need_no_database():
    semantics = ClassSemantics.from_wordnet([RETRIEVER, LABRADOR, CAT, BEER_BOTTLE])
    similarity = semantics.similarity("path")
    assert similarity[0].tolist() == pytest.approx([1, 1 / 3, 1 / 9, 1 / 16], rel=1e-12)
    with pytest.raises(FileNotFoundError, match="path"):
        ClassSemantics.from_wordnet([CAT, "n00000001"])


def test_classes_of_imagenet_are_sorted_and_distinct():
    ids = [synset for synset, _ in shipped_nouns().sets["imagenet"]]
    assert len(ids) == len(set(ids)) == 1000
    assert ids == sorted(ids)


def test_data_sets_have_their_classes():
    sets = shipped_nouns().sets
    assert {name: len({s for s, _ in rows}) for name, rows in sets.items()} == {
        "imagenet": 1000, "cifar10": 10, "cifar100": 100,
    }  # fmt: skip
    assert all(synset in shipped_nouns().nouns for rows in sets.values() for synset, _ in rows)


def test_everything_that_shipped_nouns_are_kinds_of_is_shipped():
    nouns = shipped_nouns().nouns
    assert all(parent in nouns for noun in nouns.values() for parent in noun.parents)


def test_nothing_else_is_shipped():
    shipped = shipped_nouns()
    classes = [synset for rows in shipped.sets.values() for synset, _ in rows]
    assert nouns_of(classes).keys() == shipped.nouns.keys()


def test_shipped_nouns_have_one_root():
    nouns = shipped_nouns().nouns
    assert [noun.lemmas for noun in nouns.values() if not noun.parents] == [("entity",)]


def test_shipped_nouns_come_with_their_licence():
    text = wordnet.SHIPPED.read_text(encoding="utf-8")
    for words in ("WordNet 3.0 Copyright 2006 by Princeton University", "without fee or\n# royalty", '"AS IS"'):
        assert words in text


def test_shipped_nouns_are_those_of_the_database():
    try:
        folder = folder_of()
    except FileNotFoundError:
        pytest.skip("needs the database files of WordNet 3.0")
    shipped = shipped_nouns().nouns
    assert nouns_of(shipped, folder) == shipped


def test_senses_of_the_database():
    try:
        folder_of()
    except FileNotFoundError:
        pytest.skip("needs the database files of WordNet 3.0")
    found = senses("otter")
    assert found[1].synset == "n02444819"
    assert "fur" in found[0].gloss
