"""Files that somebody else has written: each is refused, or does no harm, and nothing in it runs."""

import io
import json
import pickle
import struct
import zipfile

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

pytest.importorskip("skops", reason="needs skops: pip install '.[io]'")

from persistence_cases import (
    EMPTY_WEIGHTS,
    MANIFEST,
    MODEL,
    WEIGHTS,
    Schema,
    apart,
    npy,
    npz,
    of_class,
    once,
    opened,
    written,
)
from small_problems import quiet

import abstain
from abstain import testing
from abstain.scores import max_probability

HUGE, MEMORY = 10**8, 200
LINEAR = "sklearn.linear_model._logistic.LogisticRegression"
TREE = "sklearn.tree._tree.Tree"


# Whole files


def refused(path, match="cannot be loaded"):
    """Load a file in this process; return the message of the refusal."""
    with pytest.raises(ValueError, match=match) as caught:
        abstain.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def data():
    return testing.overlapping_classes(testing.LABELS["int"], n=120)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """A true file, and what its estimator decides."""
    path = tmp_path_factory.mktemp("whole") / "true.abstain"
    model = abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0).fit(*data)
    abstain.save(model, path)
    return path, model.decide(data[0])


def test_a_file_cut_short_is_refused(whole, tmp_path):
    content = whole[0].read_bytes()
    rng = np.random.default_rng(0)
    for end in [0, 1, 4, len(content) - 1, *rng.integers(2, len(content), 60)]:
        path = tmp_path / "cut.abstain"
        path.write_bytes(content[:end])
        refused(path, "cannot be loaded")


def test_a_file_with_flipped_bits_is_refused_or_means_the_same(whole, data, tmp_path):
    """Dates and other fields that zip readers ignore carry no meaning."""
    content, expected = whole[0].read_bytes(), whole[1]
    rng, refusals, same = np.random.default_rng(1), 0, 0
    for place in rng.integers(0, len(content), 150):
        path = tmp_path / "flipped.abstain"
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            model = abstain.load(path)
        except ValueError as error:
            refusals += str(path) in str(error)
        else:
            np.testing.assert_array_equal(model.decide(data[0]), expected)
            same += 1
    assert refusals + same == 150
    assert refusals > 100


class Bomb:
    """An object whose pickle writes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def outer(path, **parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("_dot_", "."), content)


def foreign(tmp_path, sentinel):
    """Write files of other kinds; return their paths."""
    found = {}

    def at(name):
        found[name] = tmp_path / f"{len(found)}.abstain"
        return found[name]

    for protocol in range(6):
        at(f"pickle {protocol}").write_bytes(pickle.dumps(Bomb(sentinel), protocol))
    joblib.dump(Bomb(sentinel), at("joblib"))
    joblib.dump(Bomb(sentinel), at("joblib, compressed"), compress=3)
    at("text").write_text("not an estimator")
    at("json").write_text("{}")
    at("empty").write_bytes(b"")
    at("zeros").write_bytes(bytes(4096))
    for seed in range(20):
        at(f"noise {seed}").write_bytes(np.random.default_rng(seed).bytes(500 * seed + 1))
    at("end of a zip").write_bytes(b"PK\x05\x06" + bytes(18))
    at("half a zip").write_bytes(b"PK\x03\x04" + bytes(100))
    at("npy").write_bytes(npy(np.zeros(3)))
    at("npz").write_bytes(npz(a=np.zeros(3)))
    with at("npy of objects").open("wb") as file:
        np.save(file, np.array([Bomb(sentinel)]), allow_pickle=True)
    outer(at("an empty zip"))
    outer(at("a jar"), **{"META-INF/MANIFEST.MF": "Main-Class: Evil"})
    import skops.io

    skops.io.dump(LogisticRegression(), at("plain skops"))
    return found


def test_foreign_files_are_refused_and_not_run(tmp_path):
    sentinel = tmp_path / "sentinel"
    found = foreign(tmp_path, sentinel)
    assert len(found) > 35
    for name, path in found.items():
        assert "cannot be loaded" in refused(path), name
        assert not sentinel.exists(), name


def test_files_of_torch_are_refused_and_not_run(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
    path, sentinel = tmp_path / "weights.pt", tmp_path / "sentinel"
    for content in ({"weight": torch.zeros(3)}, Bomb(sentinel), torch.nn.Linear(2, 2)):
        for way in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=way)
            refused(path)
            assert not sentinel.exists()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        abstain.load(tmp_path)


# Containers


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, parts, extra=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in [*parts.items(), *extra]:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", [MANIFEST, MODEL, WEIGHTS])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_parts_must_be_there_once_and_alone(whole, tmp_path, name):
    parts, path = parts_of(whole[0]), tmp_path / "changed.abstain"
    abstain.load(packed(path, parts))
    without = {key: value for key, value in parts.items() if key != name}
    refused(packed(path, without), "it holds")
    refused(packed(path, parts, [(name, parts[name])]), "it holds")
    refused(packed(path, parts, [(name, b"other")]), "it holds")
    refused(packed(path, without | {name.upper(): parts[name]}), "it holds")
    refused(packed(path, without | {f"../{name}": parts[name]}), "it holds")
    refused(packed(path, without | {f"/{name}": parts[name]}), "it holds")
    refused(packed(path, without | {name: b""}))
    refused(packed(path, without | {name: b"\xff\xfe{" + parts[name]}))


@pytest.mark.parametrize(
    "extra", ["readme", "../../evil.py", "/etc/cron.d/evil", "..\\evil.py", "model.skops/", "model.skops/x", "a\0b"]
)
def test_other_members_are_refused_and_not_unpacked(whole, tmp_path, extra):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    refused(packed(folder / "changed.abstain", parts_of(whole[0]), [(extra, b"evil")]), "it holds")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["changed.abstain"]


@pytest.mark.parametrize(
    "manifest",
    [
        "", "{", "null", "[]", "1", '"format"', "{}", '{"format": 2}', '{"format": "1"}', '{"format": 1}', "\xff",
        '{"format": 1, "sha256": {}}', '{"format": 1, "sha256": null}', '{"format": 1, "sha256": "model.skops"}',
        '{"format": 1, "sha256": {"model.skops": 1, "weights.safetensors": 2}}', "[" * 100_000,
        '{"format": 1, "format": 0}', '{"format": ' + "9" * 10_000 + "}", '{"format": NaN}', '{"format": [1]}',
    ],
)  # fmt: skip
def test_a_manifest_that_says_nothing_or_something_else_is_refused(whole, tmp_path, manifest):
    parts = parts_of(whole[0]) | {MANIFEST: manifest.encode("latin-1")}
    refused(packed(tmp_path / "changed.abstain", parts))


@pytest.mark.parametrize("change", ["class", "hash", "no class", "no hash"])
def test_a_manifest_that_contradicts_its_file_is_refused(whole, tmp_path, change):
    parts = parts_of(whole[0])
    manifest = json.loads(parts[MANIFEST])
    if change == "class":
        manifest["class"] = "abstain.methods.auto.auto_trust.AutoTrust"
    if change == "hash":
        manifest["sha256"][MODEL] = manifest["sha256"][WEIGHTS]
    if change == "no class":
        del manifest["class"]
    if change == "no hash":
        del manifest["sha256"][WEIGHTS]
    refused(packed(tmp_path / "changed.abstain", parts | {MANIFEST: json.dumps(manifest)}))


@pytest.mark.parametrize("flag", [1, 0x20, 0x2000])
def test_encrypted_members_are_refused(whole, tmp_path, flag):
    content = bytearray(whole[0].read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := content.find(mark, place + 1)) >= 0:
            struct.pack_into("<H", content, place + offset, flag)
    (tmp_path / "locked.abstain").write_bytes(content)
    refused(tmp_path / "locked.abstain")


# Names and loaders

FORBIDDEN = (
    "os.system", "posix.system", "os.popen", "subprocess.Popen", "subprocess.call", "builtins.eval", "builtins.exec",
    "builtins.getattr", "builtins.__import__", "builtins.open", "builtins.type", "importlib.import_module",
    "pickle.loads", "joblib.load", "numpy.load", "numpy.fromfile", "operator.methodcaller", "operator.attrgetter",
    "functools.reduce", "ctypes.CDLL", "shutil.rmtree", "runpy.run_path", "pty.spawn", "hostile_module.run",
    "abstain.persistence.files.load", "abstain.utils.optional.import_extra", "skops.io.load", "abstain.os.system",
    "abstain.scores.probability.np.load", "sklearn.pipeline.Memory", "sklearn.utils._bunch.os", "None.None",
    "abstain.backbones.timm.import_extra", "abstain.datasets.load_digits", "sklearn.datasets._base.load_files",
)  # fmt: skip


def payloads(S, name, command):
    """Yield every way of naming a class or a function in a schema."""
    told = S.json(command)
    yield S.function(name)
    yield S.type(name)
    yield S.object(name, command=told)
    yield S.node("ObjectNode", name, content=told)
    yield S.node("ObjectNode", name)
    yield S.partial(S.function(name), told)
    yield S.partial(S.type(name), told)
    yield S.node("PartialNode", name, content=S.partial(S.type("builtins.int"), told)["content"])
    yield S.list(told, name=name)
    yield S.node("SetNode", name, content=[told])
    yield S.node("TupleNode", name, content=[told])
    yield S.dict({command: told}, [S.function(name)])
    yield S.dict({command: told}, [S.partial(S.function(name))])
    yield S.dict({}, name=name)
    yield S.node("DefaultDictNode", name, content={"main": S.dict({}), "default_factory": S.function(name)})
    yield S.node(
        "DefaultDictNode", "collections.defaultdict", content={"main": S.dict({}), "default_factory": S.function(name)}
    )
    yield S.array(np.array(command), name)
    yield S.node("NdArrayNode", name, type="json", content=[told], shape=S.tuple(S.json(1)))
    yield S.loss(name, told)
    yield S.loss("sklearn._loss._loss.CyHalfBinomialLoss", content=S.object(name, command=told))
    yield S.node("TreeNode", name, __reduce__={"args": S.tuple(told)}, content=S.dict({"a": told}))
    yield S.node("ConstructorFromReduceNode", name, content=S.tuple(told))
    yield S.node("ConstructorFromReduceNode", "builtins.str", content=S.tuple(S.function(name)))
    yield S.node("MethodNode", name, content={"func": "__call__", "obj": S.function(name)})
    yield S.node("MethodNode", LINEAR, content={"func": "__init__", "obj": S.object(LINEAR, command=told)})
    yield S.node("OperatorFuncNode", name, attrs=S.tuple(told))
    yield S.node("OperatorFuncNode", "operator.methodcaller", attrs=S.tuple(S.json("fit")))
    yield S.node("RandomStateNode", name, content=told)
    yield S.node("RandomGeneratorNode", name, content={"bit_generator": told, "seed_seq": told})
    yield S.node("MaskedArrayNode", name, content={"data": told, "mask": S.function(name)})
    yield S.node("DTypeNode", name, content=S.function(name))
    yield S.node("CachedNode", name, __id__=1)
    yield S.node("JsonNode", name, content=json.dumps(command))
    yield S.node("BytesNode", name, file=S.bytes(b"x")["file"])
    yield S.node("SparseMatrixNode", name, type="scipy", file=S.bytes(b"x")["file"])
    yield S.node("SliceNode", name, content={"start": told, "stop": told, "step": told})
    yield S.node("_DictWithDeprecatedKeysNode", name, content={"main": S.dict({}), "_deprecated_key_to_new_key": told})
    yield S.node("QuantileForestNode", name, content=told)
    yield S.node("UnknownNode", name, content=told)
    yield S.node(["ObjectNode"], name, content=told)
    yield S.node({"ObjectNode": 1}, name, content=told)
    yield {"__class__": [name], "__module__": "os", "__loader__": "TypeNode"}
    yield {"__class__": name, "__module__": "", "__loader__": "TypeNode"}
    yield {"__class__": None, "__module__": None, "__loader__": "TypeNode"}
    yield {"__class__": name.rpartition(".")[2], "__loader__": "TypeNode", "__module__": name.rpartition(".")[0]}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_names_that_are_not_known_are_refused_and_not_run(tmp_path, monkeypatch, name):
    sentinel, path = tmp_path / "sentinel", tmp_path / "hostile.abstain"
    (tmp_path / "hostile_module.py").write_text(f"open({str(sentinel)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    command = {"builtins.eval": f"open({str(sentinel)!r}, 'w')", "builtins.open": str(sentinel)}.get(
        name, f"touch {sentinel}"
    )
    S, count = Schema(), 0
    for payload in payloads(S, name, command):
        for root in (
            payload,
            S.object(LINEAR, C=payload),
            S.object("abstain.protocols.FunctionScorer", function=payload),
        ):
            count += 1
            for protocol in (0, 1, 2) if count % 7 == 0 else (2,):
                refused(written(path, root | {"protocol": protocol}, S.members, kind=LINEAR))
                assert not sentinel.exists(), payload["__loader__"]
    assert count > 100


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, -1, True, None, "2", 1.5, [2]])
def test_older_protocols_open_no_door(tmp_path, protocol):
    sentinel, path, S = tmp_path / "sentinel", tmp_path / "hostile.abstain", Schema()
    function = S.node(
        "FunctionNode", "abstain.scores.probability.energy", content={"module_path": "os", "function": "system"}
    )
    generator = S.node(
        "RandomGeneratorNode", "numpy.random._generator.Generator",
        content={"bit_generator": {"bit_generator": "seed"}, "seed_seq": S.dict({})},
    )  # fmt: skip
    partial = S.dict({f"touch {sentinel}": S.json(1)}, [function])
    for hostile in (function, partial, generator):
        root = S.object("abstain.protocols.FunctionScorer", function=hostile) | {"protocol": protocol}
        written(path, root, S.members)
        if protocol == 2 and hostile is function:
            assert abstain.load(path).function is abstain.scores.energy
        else:
            refused(path)
        assert not sentinel.exists()


def test_generators_of_other_names_are_refused(tmp_path):
    path, S = tmp_path / "hostile.abstain", Schema()
    for name in ("seed", "set_state", "Generator", "RandomState", "_pickle", "BitGenerator", None, 3):
        state = S.dict({"bit_generator": S.json(name), "state": S.json({})})
        root = S.node(
            "RandomGeneratorNode", "numpy.random._generator.Generator",
            content={"bit_generator": state, "seed_seq": S.dict({})},
        )  # fmt: skip
        refused(written(path, root, S.members))


# Files apart: what compiled code might follow, and what might never end

CASES, SAFE = {}, set()


def case(name, safe=False):
    """Register a function that writes a file. It must be refused; where it is safe, it may also load and answer."""

    def register(function):
        CASES[name] = function
        if safe:
            SAFE.add(name)
        return function

    return register


class Tampered:
    """A saved estimator, opened."""

    def __init__(self, path):
        self.manifest, self.schema, self.members, self.weights = opened(path)
        self.new = Schema()
        self.new.members = self.members

    def one(self, kind, which=0):
        return of_class(self.schema, kind)[which]

    def attributes(self, kind, which=0):
        return self.one(kind, which)["content"]["content"]

    def array(self, node, change):
        """Change an array in place, or to what the function returns."""
        array = np.load(io.BytesIO(self.members[node["file"]]))
        changed = change(array)
        self.members[node["file"]] = npy(array if changed is None else changed)

    def put(self, node, name, value):
        """Set an attribute of an object."""
        content = node["content"]
        if name not in content["content"]:
            content["key_types"]["content"].append(self.new.type("builtins.str"))
        content["content"][name] = value

    def drop(self, node, *names):
        """Forget attributes of an object; its names are all strings."""
        for name in names:
            if node["content"]["content"].pop(name, None):
                node["content"]["key_types"]["content"].pop()

    def write(self, path, **more):
        return written(path, self.schema, self.members, self.weights, **more)


@pytest.fixture(scope="module")
def bases(tmp_path_factory, data):
    """True files, by a short name."""
    folder = tmp_path_factory.mktemp("bases")
    X, y = data
    mixed = np.c_[X, np.arange(len(X)) % 3]
    models = {
        "tree": DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y),
        "forest": RandomForestClassifier(3, max_depth=3, random_state=0).fit(X, y),
        "gradient": GradientBoostingClassifier(n_estimators=2, max_depth=2, random_state=0).fit(X, y),
        "hist": HistGradientBoostingClassifier(max_iter=2, max_depth=3, random_state=0).fit(X, y),
        "categorical": HistGradientBoostingClassifier(
            max_iter=2, categorical_features=[4], min_samples_leaf=2, random_state=0
        ).fit(mixed[:, :5], y),
        "machine": SVC(random_state=0).fit(X, y),
        "linear": LogisticRegression().fit(X, y),
        "sparse": LogisticRegression().fit(X, y).sparsify(),
        "dicts": make_pipeline(DictVectorizer(), LogisticRegression()).fit(
            [{"a": 1.0}, {"b": 2.0}] * 10, np.arange(20) % 2
        ),
        "one hot": OneHotEncoder(sparse_output=False).fit(mixed[:, 4:]),
        "neighbours": KNeighborsClassifier(algorithm="brute").fit(X, y),
        "nearest": quiet(abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(), cv=2).fit, X, y),
        "selective": quiet(
            abstain.SelectiveClassifier(
                RandomForestClassifier(2, max_depth=2, random_state=0), max_probability, cv=2
            ).fit, X, y,
        ),
    }  # fmt: skip
    for name, model in models.items():
        abstain.save(model, folder / name)
    return folder


# -- trees


def tree_nodes(change, base="tree", kind="Tree"):
    def write(bases, path):
        file = Tampered(bases / base)
        file.array(file.attributes(kind)["nodes"], change)
        return file.write(path)

    return write


def first(field, value):
    def change(nodes):
        nodes[field][0] = value

    return change


for _base in ("tree", "forest", "gradient", "selective"):
    for _field, _values in {
        "left_child": [HUGE, 2**62, -7, 0, -(2**62)], "right_child": [HUGE, -7, 0, -1], "feature": [HUGE, 4, -3, 2**62],
    }.items():  # fmt: skip
        for _value in _values:
            case(f"{_base}: {_field} {_value}")(tree_nodes(first(_field, _value), _base))


@case("tree: a child before its parent")
def _(bases, path):
    return tree_nodes(lambda nodes: nodes["left_child"].__setitem__(slice(1, None), 0))(bases, path)


for _name, _change in {
    "half of its nodes": lambda nodes: nodes[: len(nodes) // 2],
    "no nodes": lambda nodes: nodes[:0],
    "nodes without names": lambda nodes: nodes["feature"].copy(),
    "nodes in two dimensions": lambda nodes: nodes[None],
}.items():
    case(f"tree: {_name}")(tree_nodes(_change))


def tree_count(value, base="tree"):
    def write(bases, path):
        file = Tampered(bases / base)
        file.attributes("Tree")["node_count"] = file.new.json(value)
        return file.write(path)

    return write


for _value in (-1, -HUGE):
    case(f"tree: {_value} nodes by count alone")(tree_count(_value))
# scikit-learn itself counts no more than there are
for _value in (HUGE, 10**12):
    case(f"tree: {_value} nodes by count alone", safe=True)(tree_count(_value))
case("tree: no nodes by count alone", safe=True)(tree_count(0))


@case("tree: no nodes at all")
def _(bases, path):
    file = Tampered(bases / "tree")
    state = file.attributes("Tree")
    state["node_count"] = file.new.json(0)
    for name in ("nodes", "values"):
        file.array(state[name], lambda array: array[:0])
    return file.write(path)


@case("tree: values of another shape")
def _(bases, path):
    file = Tampered(bases / "tree")
    file.array(file.attributes("Tree")["values"], lambda values: values[:1])
    return file.write(path)


def tree_arguments(*values):
    def write(bases, path):
        file = Tampered(bases / "tree")
        new = file.new
        file.one("Tree")["__reduce__"]["args"] = new.tuple(
            *(new.array(v) if isinstance(v, np.ndarray) else new.json(v) for v in values)
        )
        return file.write(path)

    return write


for _name, _values in {
    "many outputs": (4, np.array([3]), HUGE),
    "negative outputs": (4, np.array([3]), -5),
    "no outputs": (4, np.array([], dtype=int), 0),
    "many classes": (4, np.array([2**62]), 1),
    "negative classes": (4, np.array([-3]), 1),
    "classes that overflow": (4, np.array([2**40, 2**40]), 2),
    "numbers as text": ("4", np.array(["3"]), 1),
    "classes as floats": (4, np.array([3.0]), 1),
    "too few arguments": (4,),
}.items():
    case(f"tree: {_name}")(tree_arguments(*_values))
case("tree: features that it does not have", safe=True)(tree_arguments(2, np.array([3]), 1))


def wide(file, tree=None, feature=HUGE):
    """Let a tree believe that it has many features, consistently."""
    new, tree = file.new, tree or file.one("Tree")
    tree["__reduce__"]["args"]["content"][0] = new.json(2 * HUGE)
    file.array(tree["content"]["content"]["nodes"], first("feature", feature))


@case("tree: wide features, no number of features")
def _(bases, path):
    file = Tampered(bases / "tree")
    wide(file)
    file.drop(file.one("DecisionTreeClassifier"), "n_features_in_")
    return file.write(path)


@case("tree: wide features, said alike everywhere", safe=True)
def _(bases, path):
    file = Tampered(bases / "tree")
    wide(file)
    file.put(file.one("DecisionTreeClassifier"), "n_features_in_", file.new.json(2 * HUGE))
    return file.write(path)


def members(file, kind):
    """Trees of an ensemble but the first, by which scikit-learn checks what it is given."""
    content = file.attributes(kind)["estimators_"]["content"]
    flat = [tree for row in content for tree in (row["content"] if row["__loader__"] == "ListNode" else [row])]
    return flat[1:]


def wide_members(change=None, base="forest", kind="RandomForestClassifier"):
    def write(bases, path):
        file = Tampered(bases / base)
        for node in members(file, kind):
            wide(file, node["content"]["content"]["tree_"])
            file.put(node, "n_features_in_", file.new.json(2 * HUGE))
        if change:
            change(file, file.one(kind))
        return file.write(path)

    return write


def sound_tree(file):
    """A stump that points nowhere."""
    nodes = np.load(io.BytesIO(file.members[file.attributes("Tree")["nodes"]["file"]]))[-1:].copy()
    assert nodes["left_child"][0] == -1
    new = file.new
    args = new.tuple(new.json(4), new.array(np.array([1])), new.json(1))
    state = {
        "max_depth": new.json(0), "node_count": new.json(1), "nodes": new.array(nodes),
        "values": new.array(np.ones((1, 1, 1))),
    }  # fmt: skip
    return new.node("TreeNode", TREE, __reduce__={"args": args}, content=new.dict(state))


def masked(file, node, shape):
    content = node["content"]["content"]["estimators_"]["content"]
    new, mask = file.new, np.ones(shape, dtype=bool)
    mask.ravel()[0] = False
    data = new.node(
        "NdArrayNode", "numpy.ndarray", type="json", content=content, shape=new.tuple(*map(new.json, shape))
    )
    return new.node("MaskedArrayNode", "numpy.ma.MaskedArray", content={"data": data, "mask": new.array(mask)})


def hidden_members(kind, base, shape):
    def write(bases, path):
        file = Tampered(bases / base)
        for node in members(file, kind):
            file.array(node["content"]["content"]["tree_"]["content"]["content"]["nodes"], first("feature", HUGE))
        node = file.one(kind)
        file.put(node, "estimators_", masked(file, node, shape))
        return file.write(path)

    return write


BOOSTED = "GradientBoostingClassifier"
case("forest: wide trees")(wide_members())
case("forest: wide trees, no number of features", safe=True)(
    wide_members(lambda file, node: file.drop(node, "n_features_in_"))
)
case("forest: wide trees, subsets of features as in bagging", safe=True)(
    wide_members(lambda file, node: file.put(node, "estimators_features_", file.new.list()))
)
case("forest: wide trees, a sound tree as a decoy", safe=True)(
    wide_members(lambda file, node: file.put(node, "tree_", sound_tree(file)))
)
case("forest: hostile trees behind a mask", safe=True)(hidden_members("RandomForestClassifier", "forest", (3,)))
case("gradient: wide trees")(wide_members(None, "gradient", BOOSTED))
case("gradient: wide trees, no number of features")(
    wide_members(lambda file, node: file.drop(node, "n_features_in_"), "gradient", BOOSTED)
)
case("gradient: hostile trees behind a mask")(hidden_members(BOOSTED, "gradient", (2, 3)))


@case("forest: trees without a number of features")
def _(bases, path):
    file = Tampered(bases / "forest")
    for node in members(file, "RandomForestClassifier"):
        wide(file, node["content"]["content"]["tree_"])
        file.drop(node, "n_features_in_")
    return file.write(path)


@case("forest: trees of more outputs", safe=True)
def _(bases, path):
    file = Tampered(bases / "forest")
    for node in members(file, "RandomForestClassifier"):
        file.put(node, "n_outputs_", file.new.json(HUGE))
    return file.write(path)


def gradient_rows(change):
    def write(bases, path):
        file = Tampered(bases / "gradient")
        node = file.attributes(BOOSTED)["estimators_"]
        node["content"] = change(file.new, node["content"])
        return file.write(path)

    return write


# a row of an array of objects is a list of its items


@case("gradient: more trees in a round than classes")
def _(bases, path):
    path.with_suffix(".json").write_text(json.dumps(np.zeros((4000, 4)).tolist()))
    return gradient_rows(lambda new, rows: [new.list(*(row["content"] * 100)) for row in rows])(bases, path)


case("gradient: fewer trees in a round than classes", safe=True)(
    gradient_rows(lambda new, rows: [new.list(*row["content"][:1]) for row in rows])
)
case("gradient: rounds that hold no trees", safe=True)(
    gradient_rows(lambda new, rows: [new.list(*(new.json(0) for _ in row["content"])) for row in rows])
)


# -- histograms


def predictors(change, base="hist"):
    def write(bases, path):
        file = Tampered(bases / base)
        for node in of_class(file.schema, "TreePredictor"):
            file.array(node["content"]["content"]["nodes"], change)
        return file.write(path)

    return write


for _field, _value in [
    ("left", 2**31), ("right", 2**31), ("left", 0), ("right", 0), ("feature_idx", 2**30), ("feature_idx", -(2**30)),
    ("feature_idx", 4),
]:  # fmt: skip
    case(f"hist: {_field} {_value}")(predictors(first(_field, _value)))


def all_categorical(nodes):
    inner = nodes["is_leaf"] == 0
    nodes["is_categorical"][inner], nodes["bitset_idx"][inner] = 1, 10**9


def all_inner(nodes):
    nodes["is_leaf"] = 0


def odd_leaves(nodes):
    nodes["is_leaf"][nodes["is_leaf"] == 0] = 2
    nodes["left"] = 2**31


case("hist: categories that are not there")(predictors(all_categorical))
case("categorical: categories that are not there")(predictors(all_categorical, "categorical"))
case("hist: no leaves")(predictors(all_inner))
case("hist: leaves by another number", safe=True)(predictors(odd_leaves))
case("hist: no nodes")(predictors(lambda nodes: nodes[:0]))
case("hist: nodes of another kind")(predictors(lambda nodes: nodes["value"].copy()))


def boosting(change, base="hist", feature=2**30):
    def write(bases, path):
        file = Tampered(bases / base)
        for node in of_class(file.schema, "TreePredictor"):
            file.array(node["content"]["content"]["nodes"], first("feature_idx", feature))
        change(file, file.one("HistGradientBoostingClassifier"))
        return file.write(path)

    return write


case("hist: wide features, no number of features")(boosting(lambda file, node: file.drop(node, "n_features_in_")))
case("hist: wide features, an empty ensemble as a decoy")(
    boosting(lambda file, node: file.put(node, "estimators_", file.new.list()))
)


@case("hist: wide features, many bins")
def _(bases, path):
    def change(file, _):
        bins = file.attributes("_BinMapper")["n_bins_non_missing_"]
        file.array(bins, lambda bins: np.resize(bins, 3 * 10**6))

    return boosting(change, feature=2_900_000)(bases, path)


@case("hist: wide features, a tree as a decoy")
def _(bases, path):
    file, other = Tampered(bases / "hist"), Tampered(bases / "tree")
    other.new.members = other.members
    tree = sound_tree(other)
    for part in of_class(tree, "ndarray"):
        content = other.members[part["file"]]
        part["file"] = file.new.bytes(content)["file"]
    for node in of_class(file.schema, "TreePredictor"):
        file.array(node["content"]["content"]["nodes"], first("feature_idx", 2**30))
    file.put(file.one("HistGradientBoostingClassifier"), "tree_", tree)
    return file.write(path)


@case("categorical: no column is one", safe=True)
def _(bases, path):
    file = Tampered(bases / "categorical")
    file.array(file.attributes("_BinMapper")["is_categorical_"], lambda flags: flags[:0])
    return file.write(path)


@case("categorical: no sets of categories")
def _(bases, path):
    file = Tampered(bases / "categorical")
    for node in of_class(file.schema, "TreePredictor"):
        file.array(node["content"]["content"]["nodes"], lambda nodes: nodes["is_categorical"].fill(1))
        for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
            file.array(node["content"]["content"][name], lambda sets: sets[:0])
    return file.write(path)


@case("categorical: narrow sets of categories", safe=True)
def _(bases, path):
    file = Tampered(bases / "categorical")
    for node in of_class(file.schema, "TreePredictor"):
        for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
            file.array(node["content"]["content"][name], lambda sets: np.ones((len(sets) or 1, 0), dtype=np.uint32))
    return file.write(path)


# -- support vector machines


def csr(*shape):
    """A sparse matrix as bytes."""
    buffer = io.BytesIO()
    sparse.save_npz(buffer, sparse.csr_matrix(*shape) if len(shape) == 1 else sparse.csr_matrix(shape))
    return buffer.getvalue()


def machine(change):
    def write(bases, path):
        file = Tampered(bases / "machine")
        change(file, file.one("SVC"), file.attributes("SVC"))
        return file.write(path)

    return write


def machine_array(name, change):
    return machine(lambda file, _, attributes: file.array(attributes[name], change))


for _name, _attribute, _change in [
    ("more support than there is", "_n_support", lambda counts: np.full_like(counts, HUGE)),
    ("negative support", "_n_support", lambda counts: np.array([-5, counts.sum() + 5, 0], dtype=counts.dtype)),
    ("support of many classes", "_n_support", lambda counts: np.resize(counts, 10**6)),
    ("wide support as text", "_n_support", lambda counts: counts.astype(str)),
    ("narrow vectors", "support_vectors_", lambda vectors: vectors[:, :1].copy()),
    ("few vectors", "support_vectors_", lambda vectors: vectors[:1].copy()),
    ("flat vectors", "support_vectors_", lambda vectors: vectors[0].copy()),
    ("few coefficients", "_dual_coef_", lambda values: values[:, :1].copy()),
    ("coefficients of two classes", "_dual_coef_", lambda values: values[:1].copy()),
    ("no intercepts", "_intercept_", lambda values: values[:0].copy()),
    ("support indices missing", "support_", lambda values: values[:0].copy()),
]:
    case(f"machine: {_name}")(machine_array(_attribute, _change))
case("machine: support indices beyond the data", safe=True)(
    machine_array("support_", lambda values: np.full_like(values, 2**30))
)
case("machine: sparse by name, dense by nature", safe=True)(
    machine(lambda file, node, _: file.put(node, "_sparse", file.new.json(True)))
)
case("machine: another kernel", safe=True)(
    machine(lambda file, node, _: file.put(node, "kernel", file.new.json("poly")))
)
case("machine: odd parameters", safe=True)(
    machine(
        lambda file, node, _: [
            file.put(node, name, file.new.json(value))
            for name, value in {"kernel": "poly", "degree": -(2**31), "_gamma": 1e308, "cache_size": -1.0}.items()
        ]
    )
)


@case("machine: precomputed, support beyond the data")
def _(bases, path):
    def change(file, node, attributes):
        file.put(node, "kernel", file.new.json("precomputed"))
        file.put(node, "shape_fit_", file.new.tuple(file.new.json(4), file.new.json(4)))
        file.array(attributes["support_"], lambda values: np.full_like(values, 2**30))

    return machine(change)(bases, path)


def many_classes(classes, n, **arrays):
    """A machine of many classes, all of whose vectors are of the first; what is not given fits."""

    def change(file, node, _):
        pairs, true = classes * (classes - 1) // 2, np.zeros(classes, dtype=np.int32)
        true[0] = n
        parts = {
            "support_vectors_": np.ones((n, 4)), "_dual_coef_": np.zeros((classes - 1, n)), "_n_support": true,
            "support_": np.arange(n, dtype=np.int32), "_intercept_": np.zeros(pairs), "classes_": np.arange(classes),
        }  # fmt: skip
        for name, value in (parts | arrays).items():
            if name == "sparse":
                file.put(node, "_sparse", file.new.json(True))
            elif isinstance(value, bytes):
                file.put(node, name, file.new.sparse(value))
            else:
                file.put(node, name, file.new.array(value))

    return change


case("machine: many classes", safe=True)(machine(many_classes(30, 100)))
case("machine: probabilities of many pairs, of which few are there")(
    machine(many_classes(300, 4, _probA=np.zeros(1), _probB=np.zeros(1)))
)
case("machine: sparse, coefficients missing")(
    machine(many_classes(400, 100, sparse=True, support_vectors_=csr(np.ones((100, 4))), _dual_coef_=csr(399, 100)))
)


@case("machine: coefficients missing, an empty ensemble as a decoy")
def _(bases, path):
    def change(file, node, attributes):
        many_classes(1000, 2000, _dual_coef_=np.zeros((1, 2000)))(file, node, attributes)
        file.put(node, "estimators_", file.new.list())

    return machine(change)(bases, path)


# -- sparse matrices, vocabularies, categories, neighbours


def sparse_coefficients(**arrays):
    def write(bases, path):
        file = Tampered(bases / "sparse")
        true = {
            "format": np.array(b"csr"), "shape": np.array([3, 4]), "data": np.ones(3),
            "indices": np.array([0, 1, 2], dtype=np.int32), "indptr": np.array([0, 1, 2, 3], dtype=np.int32),
        }  # fmt: skip
        file.put(file.one("LogisticRegression"), "coef_", file.new.sparse(npz(**true | arrays)))
        return file.write(path)

    return write


case("sparse: sound", safe=True)(sparse_coefficients())
for _name, _arrays in {
    "columns beyond": {"indices": np.array([0, 1, HUGE], dtype=np.int32)},
    "columns before": {"indices": np.array([0, 1, -HUGE], dtype=np.int32)},
    "rows that end beyond": {"indptr": np.array([0, 1, 2, HUGE], dtype=np.int32)},
    "rows that fall": {"indptr": np.array([0, HUGE, 2, 3], dtype=np.int32)},
    "no rows": {"indptr": np.array([], dtype=np.int32)},
    "a negative shape": {"shape": np.array([-3, 4])},
    "a shape that overflows": {"shape": np.array([2**62, 2**62])},
    "pickled indices": {"indices": np.array([0, 1, 2]).astype("V8")},
    "a format of no name": {"format": np.array(b"evil")},
    "few data": {"data": np.ones(1)},
    "coordinates beyond": {
        "format": np.array(b"coo"), "row": np.array([0, HUGE, 1]), "col": np.array([0, 1, 2]),
    },
}.items():  # fmt: skip
    case(f"sparse: {_name}")(sparse_coefficients(**_arrays))
case("sparse: diagonals beyond", safe=True)(
    sparse_coefficients(format=np.array(b"dia"), data=np.ones((1, 3)), offsets=np.array([HUGE]))
)
case("sparse: blocks beyond")(
    sparse_coefficients(format=np.array(b"bsr"), data=np.ones((3, 1, 1)), indices=np.array([0, 1, HUGE]))
)


@case("sparse: pickles within")
def _(bases, path):
    file, buffer = Tampered(bases / "sparse"), io.BytesIO()
    np.savez(buffer, format=np.array(b"csr"), data=np.array([Bomb(path.with_suffix(".ran"))], dtype=object))
    file.put(file.one("LogisticRegression"), "coef_", file.new.sparse(buffer.getvalue()))
    return file.write(path)


def vocabulary(base, kind, rows, value, name="vocabulary_"):
    def write(bases, path):
        file = Tampered(bases / base)
        words = file.attributes(kind)[name]["content"]
        words["a"] = file.new.json(value)
        path.with_suffix(".json").write_text(json.dumps(rows))
        return file.write(path)

    return write


for _value in (HUGE, 2**31 - 2, -HUGE, 2**70, 0.5):
    case(f"dicts: a key in column {_value}", safe=True)(
        vocabulary("dicts", "DictVectorizer", [{"a": 1.0}, {"b": 1.0}], _value)
    )


@case("one hot: more categories than columns", safe=True)
def _(bases, path):
    file = Tampered(bases / "one hot")
    node = file.attributes("OneHotEncoder")["categories_"]["content"][0]
    file.array(node, lambda _: np.arange(3.0 * 10**5))
    path.with_suffix(".json").write_text(json.dumps([[299_999.0], [150_000.0]] * 10))
    return file.write(path)


@case("neighbours: narrow rows", safe=True)
def _(bases, path):
    file = Tampered(bases / "neighbours")
    file.array(file.attributes("KNeighborsClassifier")["_fit_X"], lambda rows: rows[:, :1].copy())
    return file.write(path)


@case("neighbours: few labels", safe=True)
def _(bases, path):
    file = Tampered(bases / "neighbours")
    attributes = file.attributes("KNeighborsClassifier")
    file.array(attributes["_fit_X"], lambda rows: np.r_[np.full((10**6, 4), 1e6), rows])
    file.array(attributes["_y"], lambda labels: labels[:1].copy())
    return file.write(path)


@case("neighbours: wild labels", safe=True)
def _(bases, path):
    file = Tampered(bases / "neighbours")
    file.array(file.attributes("KNeighborsClassifier")["_y"], lambda labels: np.full_like(labels, HUGE))
    return file.write(path)


for _name, _change in {
    "flat rows": lambda rows: rows[0].copy(),
    "rows of text": lambda rows: rows.astype(str),
    "rows of whole numbers": lambda rows: rows.astype(int),
    "rows in three dimensions": lambda rows: rows[None],
    "narrow rows": lambda rows: rows[:, :1].copy(),
    "no columns": lambda rows: rows[:, :0].copy(),
    "rows that are no numbers": lambda rows: np.full_like(rows, np.nan),
    "no rows": lambda rows: rows[:0].copy(),
    "one row": lambda rows: rows[:1].copy(),
}.items():

    def _nearest(bases, path, change=_change):
        file = Tampered(bases / "nearest")
        file.array(file.attributes("RowIndex")["rows"], change)
        return file.write(path)

    case(f"nearest: {_name}", safe=True)(_nearest)

for _kind in ("evil", "ivf", "hnsw", None, 3):

    def _nearest_kind(bases, path, kind=_kind):
        file = Tampered(bases / "nearest")
        file.attributes("RowIndex")["kind"] = file.new.json(kind)
        return file.write(path)

    case(f"nearest: kind {_kind}", safe=True)(_nearest_kind)


# -- known names in unknown roles


def made(build, **options):
    """A file whose root is built by hand."""

    def write(bases, path):
        schema = Schema()
        return written(path, build(schema), schema.members, **options)

    return write


def scorer(value):
    return lambda S: S.object("abstain.protocols.FunctionScorer", function=value(S))


def fake_objects(S):
    return S.loss("numpy.ndarray", S.tuple(S.json(1)), S.json("O"), S.bytes(struct.pack("<Q", 0x4142434445)))


case("role: an array of objects whose addresses are in the file")(made(scorer(fake_objects)))
case("role: an array with strides of its own", safe=True)(
    made(
        scorer(
            lambda S: S.loss(
                "numpy.ndarray", S.tuple(S.json(HUGE)), S.json("f8"), S.bytes(bytes(8)), S.json(0),
                S.tuple(S.json(0)),
            )
        )
    )
)  # fmt: skip
for _class in (
    "numpy.ndarray", "builtins.bytes", "builtins.list", "builtins.slice", "sklearn.utils.validation.check_array",
    "functools.partial", "sklearn.pipeline.Pipeline", "numpy.dtype", "numpy.random.mtrand.RandomState", TREE,
    "abstain.scores.probability.energy", "abstain.scores.neighbours.search.RowIndex",
):  # fmt: skip
    case(f"role: {_class} as a loss", safe=True)(
        made(scorer(lambda S, name=_class: S.loss(name, S.array(np.eye(3)), S.json("flat"), S.json("sklearn"))))
    )
    case(f"role: {_class} as a list", safe=True)(made(scorer(lambda S, name=_class: S.list(S.json(3), name=name))))
    case(f"role: {_class} as a dictionary", safe=True)(
        made(scorer(lambda S, name=_class: S.dict({"a": S.json(3)}, name=name)))
    )
    case(f"role: {_class} as a number", safe=True)(made(scorer(lambda S, name=_class: S.array(np.arange(3), name))))
    case(f"role: {_class} as the type of a key", safe=True)(
        made(scorer(lambda S, name=_class: S.dict({"a": S.json(3)}, [S.partial(S.type(name), S.array(np.eye(3)))])))
    )


@case("role: a key whose type asks a hostile tree")
def _(bases, path):
    """What is asked while a file is read is asked before its indices are checked."""
    file = Tampered(bases / "tree")
    wide(file)
    tree, S = file.schema, file.new
    file.drop(file.one("DecisionTreeClassifier"), "n_features_in_")
    score = S.object(
        "sklearn.metrics._scorer._Scorer", _score_func=S.function("sklearn.utils.validation.check_array"),
        _sign=S.json(1), _kwargs=S.dict({}), _response_method=S.json("predict"),
    )  # fmt: skip
    call = S.partial(score, tree, S.array(np.ones((2, 4))))
    root = S.object("abstain.protocols.FunctionScorer", function=S.dict({"a": S.json(1)}, [call]))
    return written(path, root, file.members)


def hidden(value):
    """A transformer that may hold anything, and asks it."""
    return lambda S: S.object(
        "sklearn.preprocessing._function_transformer.FunctionTransformer", func=value(S), inverse_func=S.json(None),
        validate=S.json(False), accept_sparse=S.json(True), check_inverse=S.json(False), kw_args=S.json(None),
        inv_kw_args=S.json(None), feature_names_out=S.json(None),
    )  # fmt: skip


def bad_matrix(S):
    arrays = {
        "format": np.array(b"csr"), "shape": np.array([3, 4]), "data": np.ones(3),
        "indices": np.array([0, 1, HUGE], dtype=np.int32), "indptr": np.array([0, 1, 2, 3], dtype=np.int32),
    }  # fmt: skip
    return S.sparse(npz(**arrays))


for _name, _value in {
    "the arguments of a partial": lambda S: S.partial(S.function("abstain.scores.probability.energy"), bad_matrix(S)),
    "the keywords of a partial": lambda S: S.partial(
        S.function("abstain.scores.probability.energy"), matrix=bad_matrix(S)
    ),
    "a dictionary": lambda S: S.dict({"a": bad_matrix(S)}),
    "a list of tuples": lambda S: S.list(S.tuple(bad_matrix(S))),
    "an array of objects": lambda S: S.node(
        "NdArrayNode", "numpy.ndarray", type="json", content=[bad_matrix(S)], shape=S.tuple(S.json(1))
    ),
    "a masked array of objects": lambda S: S.node(
        "MaskedArrayNode", "numpy.ma.MaskedArray",
        content={
            "data": S.node(
                "NdArrayNode", "numpy.ndarray", type="json", content=[bad_matrix(S)], shape=S.tuple(S.json(1))
            ),
            "mask": S.array(np.ones(1, dtype=bool)),
        },
    ),
    "a bunch": lambda S: S.node(
        "ObjectNode", "sklearn.utils._bunch.Bunch", content=S.dict({"a": bad_matrix(S)})
    ),
    "what a dictionary gives where it has nothing": lambda S: S.node(
        "DefaultDictNode", "collections.defaultdict",
        content={"main": S.dict({}), "default_factory": S.partial(S.type("builtins.list"), bad_matrix(S))},
    ),
}.items():  # fmt: skip
    case(f"hidden: a matrix in {_name}", safe=_name == "a bunch")(made(hidden(_value)))


# -- sizes and shapes that are only said


def header(descr, shape, order=False, version=b"\x01\x00", tail=b""):
    text = repr({"descr": descr, "fortran_order": order, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + tail


for _name, _content in {
    "a huge shape": header("<f8", (10**12,)),
    "a large shape": header("<f8", (10**9,), tail=bytes(64)),
    "a shape that overflows": header("<f8", (2**62, 2**62)),
    "a negative shape": header("<f8", (-1,)),
    "objects": header("|O", (1,), tail=pickle.dumps([0])),
    "objects within": header([("a", "|O")], (1,), tail=pickle.dumps([0])),
    "a dtype of no name": header("evil", (1,)),
    "code": b"\x93NUMPY\x01\x00\x20\x00__import__('os').system('false')\n",
    "a shape of text": header("<f8", ("1",)),
    "a shape of Booleans": header("<f8", (True,), tail=bytes(8)),
    "a header of version 9": header("<f8", (1,), version=b"\x09\x00"),
    "a header that is too long": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
    "a pickle instead": pickle.dumps([0]),
    "nothing": b"",
    "an npz instead": npz(a=np.zeros(3)),
    "deep brackets": b"\x93NUMPY\x02\x00" + struct.pack("<I", 9000) + b"[" * 9000,
}.items():
    case(f"array: {_name}", safe=_name in ("an npz instead", "a shape of Booleans"))(
        made(lambda S, content=_content: S.object(LINEAR, coef_=S.raw_array(content)))
    )

case("array: a file that is not there")(
    made(lambda S: S.object(LINEAR, coef_=S.node("NdArrayNode", "numpy.ndarray", type="numpy", file="0.npy")))
)
case("array: the schema as an array")(
    made(lambda S: S.object(LINEAR, coef_=S.node("NdArrayNode", "numpy.ndarray", type="numpy", file="schema.json")))
)
case("array: a file elsewhere")(
    made(lambda S: S.object(LINEAR, coef_=S.node("BytesNode", "builtins.bytes", file="/etc/passwd")))
)
case("array: of nothing, without end", safe=True)(
    made(lambda S: S.object(LINEAR, coef_=S.raw_array(header("|V0", (2**60,))), classes_=S.json([0, 1])))
)
case("size: twenty million objects by number")(
    made(scorer(lambda S: S.loss("numpy.ndarray", S.tuple(S.json(HUGE // 5)), S.json("O"))))
)
case("size: many bytes by number", safe=True)(made(scorer(lambda S: S.loss("builtins.bytes", S.json(3 * 10**9)))))


def zeros(count):
    """An npz that says little and holds much."""
    buffer, head = io.BytesIO(), header("|i1", (count,))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("format", "shape", "indices", "indptr"):
            archive.writestr(f"{name}.npy", npy(np.array(b"csr") if name == "format" else np.array([1, 1])))
        with archive.open("data.npy", "w") as file:
            file.write(head)
            for _ in range(count >> 20):
                file.write(bytes(1 << 20))
    return buffer.getvalue()


case("size: a bomb in an archive in an archive")(made(lambda S: S.object(LINEAR, coef_=S.sparse(zeros(3 << 27)))))


@case("size: a bomb of the model")
def _(bases, path):
    return written(path, Schema().object(LINEAR), {"0.npy": bytes(120 << 20)})


@case("size: a bomb outside")
def _(bases, path):
    written(path, None, weights=bytes(100), model=b"")
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read(MANIFEST)
    return packed(path, {MANIFEST: manifest, MODEL: bytes(120 << 20), WEIGHTS: b""}, compression=zipfile.ZIP_DEFLATED)


@case("size: a schema of very many lists")
def _(bases, path):
    return written(path, '{"protocol": 2, "a": [' + "[]," * 15_000_000 + "0]}", kind=LINEAR)


@case("size: a manifest of very many lists")
def _(bases, path):
    parts = {MANIFEST: '{"format": 1, "a": [' + "[]," * 15_000_000 + "0]}", MODEL: b"", WEIGHTS: b""}
    return packed(path, parts, compression=zipfile.ZIP_DEFLATED)


@case("size: a number without end")
def _(bases, path):
    return written(path, '{"protocol": ' + "9" * 10_000_000 + "}", kind=LINEAR)


# -- shapes of the schema


def nested(depth, wrap):
    def build(S):
        value = S.json(1)
        for _ in range(depth):
            value = wrap(S, value)
        return value

    return build


for _depth in (300, 3000):
    _safe = _depth < 1000
    case(f"schema: {_depth} lists in lists", safe=_safe)(made(nested(_depth, lambda S, v: S.list(v))))
    case(f"schema: {_depth} objects in objects", safe=True)(made(nested(_depth, lambda S, v: S.object(LINEAR, C=v))))


@case("schema: deep brackets")
def _(bases, path):
    return written(path, "[" * 1_000_000, kind=LINEAR)


@case("schema: deep brackets in a value")
def _(bases, path):
    schema = Schema()
    return written(path, schema.object(LINEAR, C=schema.node("JsonNode", "builtins.str", content="[" * 1_000_000)))


def bushy(depth, kind=int):
    def build(S):
        node = S.list(S.json(1)) | {"__id__": kind(1)}
        for i in range(2, depth):
            node = S.list(node, {"__id__": kind(i - 1)}, {"__id__": kind(i - 1)}) | {"__id__": kind(i)}
        return node

    return build


case("schema: shared parts, over and over")(made(bushy(50)))
case("schema: shared parts by names, over and over")(made(bushy(50, str)))


def cyclic(S):
    return S.list({"__id__": 7}) | {"__id__": 7}


case("schema: a list that holds itself")(made(cyclic))
case("schema: an object that holds itself")(made(lambda S: S.object(LINEAR, C={"__id__": 7}) | {"__id__": 7}))
case("schema: a reference to nothing")(made(lambda S: S.list({"__id__": 7})))
case("schema: a cached node of nothing")(made(lambda S: S.list(S.node("CachedNode", "builtins.list", __id__=9))))
case("schema: a cached node of itself")(
    made(lambda S: S.list(S.node("CachedNode", "builtins.list", __id__=9)) | {"__id__": 9})
)
case("schema: an id that is a list")(made(lambda S: S.list({"__id__": []})))
case("schema: a list of no nodes")(made(lambda S: S.node("ListNode", "builtins.list", content=[1, 2])))
case("schema: a list of text", safe=True)(made(lambda S: S.node("ListNode", "builtins.list", content="")))
case("schema: no content")(made(lambda S: S.node("DictNode", "builtins.dict")))
for _text in ("", "null", "[]", "1", "{}", '{"protocol": 2}', '{"protocol": 2, "__loader__": "ListNode"}', "\x00"):

    def _odd(bases, path, text=_text):
        return written(path, text, kind=LINEAR)

    case(f"schema: {_text!r}")(_odd)


@case("schema: twice in the archive")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def _(bases, path):
    schema, buffer = Schema(), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as inner:
        inner.writestr("schema.json", json.dumps(schema.function("os.system") | {"protocol": 2}))
        inner.writestr("schemb.json", json.dumps(schema.function("os.system") | {"protocol": 2}))
    return written(path, None, model=buffer.getvalue().replace(b"schemb.json", b"schema.json"), kind="os.system")


for _name, _model in {
    "empty": b"",
    "text": b"model",
    "a pickle": pickle.dumps([0]),
    "an npz": npz(a=np.ones(1)),
}.items():

    def _other(bases, path, model=_model):
        return written(path, None, model=model, kind=LINEAR)

    case(f"model: {_name}")(_other)


# -- trusted classes with odd states

for _class in (
    "abstain.selective.classifier.SelectiveClassifier", "abstain.policies.coverage.TargetCoverage",
    "abstain.backbones.timm.TimmBackbone", "abstain.scores.neighbours.search.RowIndex",
    "abstain.utils.fingerprints.RowPrints", "abstain.semantics.tree.ClassTree", "sklearn.pipeline.Pipeline", TREE,
    "abstain.policies.certificate.Certificate", "abstain.methods.auto.auto_trust.AutoTrust", LINEAR, "numpy.ndarray",
    "sklearn.isotonic.IsotonicRegression", "sklearn.utils._bunch.Bunch", "numpy.dtype", "builtins.str",
    "functools.partial", "numpy.random._generator.Generator", "numpy.random.mtrand.RandomState", "builtins.slice",
    "scipy.sparse._csr.csr_matrix", "sklearn._loss._loss.CyHalfBinomialLoss", "numpy.ma.MaskedArray",
):  # fmt: skip
    for _odd_name, _state in {
        "no state": lambda S: S.json(None),
        "a number": lambda S: S.json(5),
        "text": lambda S: S.json("state"),
        "a list": lambda S: S.list(S.json(1), S.json(2)),
        "a tuple": lambda S: S.tuple(*(S.json(i) for i in (1, 0, 0, 0, 0))),
        "a strange version": lambda S: S.dict({"_sklearn_version": S.json([1]), "__class__": S.json(3)}),
        "names of methods": lambda S: S.dict(
            {"predict": S.json(1), "fit": S.json(1), "__dict__": S.json({}), "__setstate__": S.json(1)}
        ),
    }.items():

        def _weird(bases, path, name=_class, state=_state):
            schema = Schema()
            root = schema.node("ObjectNode", name, content=state(schema))
            return written(path, root, schema.members)

        case(f"state: {_class} of {_odd_name}", safe=True)(_weird)


# -- weights


def backbone(S, key="weights"):
    return S.object(
        "abstain.backbones.timm.TimmBackbone", weights=S.json("kept"), state_=S.json(key), model_name=S.json("test_vit")
    )


def tensors(text, data=b"", length=None):
    text = text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start, end, shape=(1,), dtype="F32", name="weights/a"):
    return json.dumps({name: {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}})


for _name, _content in {
    "missing": EMPTY_WEIGHTS,
    "of no name": tensors(tensor(0, 4, name="weights"), bytes(4)),
    "of another name": tensors(tensor(0, 4, name="other/a"), bytes(4)),
    "beyond the end": tensors(tensor(0, 400, (100,)), bytes(4)),
    "far beyond the end": tensors(tensor(0, 2**62, (2**60,)), bytes(4)),
    "before the start": tensors('{"weights/a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}', bytes(4)),
    "with a hole": tensors(tensor(4, 8), bytes(8)),
    "of a shape that does not fit": tensors(tensor(0, 4, (7,)), bytes(4)),
    "of a shape that overflows": tensors(tensor(0, 4, (2**40, 2**40)), bytes(4)),
    "of no known kind": tensors(tensor(0, 4, dtype="EVIL"), bytes(4)),
    "with a long header": tensors("{}", length=2**40),
    "with an endless header": tensors("{}", length=2**64 - 1),
    "with a header that is no text": tensors("[]"),
    "with deep brackets": tensors("[" * 100_000),
    "that are empty": b"",
    "that are short": b"\x01",
    "that are a pickle": pickle.dumps([0]),
}.items():
    case(f"weights: {_name}")(made(backbone, weights=_content))
case("weights: of another kind", safe=True)(made(backbone, weights=tensors(tensor(0, 2, dtype="BF16"), bytes(2))))
case("weights: named, of a strange shape", safe=True)(made(backbone, weights=tensors(tensor(0, 4), bytes(4))))
case("weights: a path instead of a name")(made(lambda S: backbone(S, "/etc/passwd"), weights=EMPTY_WEIGHTS))


LONG = [name for name in CASES if name.startswith("state: ") or "very many lists" in name]


# what true estimators are asked, where it is not four columns of numbers
ROWS = {"dicts": [{"a": 1.0}], "one hot": [[1.0], [2.0]], "categorical": [[0.0] * 5]}


def judged(bases, folder, names, true=()):
    files = {name: CASES[name](bases, folder / f"{i}.abstain") for i, name in enumerate(names)}
    for path in true:
        files[f"true: {path.name}"] = folder / f"{path.name}.abstain"
        files[f"true: {path.name}"].write_bytes(path.read_bytes())
        if path.name in ROWS:
            (folder / f"{path.name}.json").write_text(json.dumps(ROWS[path.name]))
    return apart(files, folder)


@pytest.fixture(scope="module")
def verdicts(bases, tmp_path_factory):
    names = [name for name in CASES if name not in LONG]
    return once(
        tmp_path_factory, "verdicts", lambda: judged(bases, tmp_path_factory.mktemp("hostile"), names, bases.iterdir())
    )


def assert_harmless(name, found):
    allowed = ("refused", "loaded", "answered") if name in SAFE else ("refused",)
    assert found["verdict"] in allowed, found
    assert found["memory"] < MEMORY, found
    if found["verdict"] == "refused":
        assert ".abstain' cannot be loaded: " in found["message"]


@pytest.mark.parametrize("name", [name for name in CASES if name not in LONG])
def test_a_hostile_file_does_no_harm(verdicts, name):
    assert_harmless(name, verdicts[name])


@pytest.fixture(scope="module")
def slow_verdicts(bases, tmp_path_factory):
    return once(tmp_path_factory, "slow_verdicts", lambda: judged(bases, tmp_path_factory.mktemp("slow"), LONG))


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_more_hostile_files_do_no_harm(slow_verdicts, name):
    assert_harmless(name, slow_verdicts[name])


def test_true_files_load_and_answer_apart(verdicts, bases):
    """Else a process apart that refuses everything would pass."""
    found = {path.name: verdicts[f"true: {path.name}"] for path in bases.iterdir()}
    assert {name: verdict["verdict"] for name, verdict in found.items()} == dict.fromkeys(found, "answered"), found
