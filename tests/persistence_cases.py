"""Files made by hand for tests of persistence, and a process apart in which they are loaded."""

import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from pathlib import Path

import numpy as np

MODEL, WEIGHTS, MANIFEST = "model.skops", "weights.safetensors", "manifest.json"
EMPTY_WEIGHTS = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"
PROTOCOL = 2
# address space of a child that loads one hostile file, and seconds of work that it has, and ten times as many to wait
SPACE, SECONDS = 12 << 30, 5
EVENTS = (
    "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.rmdir",
    "os.mkdir", "shutil.rmtree", "socket.connect", "ctypes.dlopen", "pickle.find_class", "webbrowser.open",
)  # fmt: skip


class Schema:
    """Nodes of a skops schema, and the members of the archive that they name."""

    def __init__(self):
        self.members = {}

    def node(self, loader, name, **more):
        module, _, kind = name.rpartition(".")
        return {"__class__": kind, "__module__": module, "__loader__": loader, **more}

    def json(self, value):
        return self.node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)

    def tuple(self, *items):
        return self.node("TupleNode", "builtins.tuple", content=list(items))

    def list(self, *items, name="builtins.list"):
        return self.node("ListNode", name, content=list(items))

    def dict(self, content, keys=None, name="builtins.dict"):
        keys = [self.type("builtins.str") for _ in content] if keys is None else keys
        return self.node("DictNode", name, content=content, key_types=self.list(*keys))

    def type(self, name):
        return self.node("TypeNode", name)

    def function(self, name):
        return self.node("FunctionNode", name)

    def partial(self, func, *args, **kwds):
        content = {"func": func, "args": self.tuple(*args), "kwds": self.dict(kwds), "namespace": self.dict({})}
        return self.node("PartialNode", "functools.partial", content=content)

    def object(self, name, **attributes):
        return self.node("ObjectNode", name, content=self.dict(attributes))

    def bytes(self, content):
        return self.node("BytesNode", "builtins.bytes", file=self._member(content, "bin"))

    def array(self, array, name="numpy.ndarray"):
        return self.raw_array(npy(array), name)

    def raw_array(self, content, name="numpy.ndarray"):
        return self.node("NdArrayNode", name, type="numpy", file=self._member(content, "npy"))

    def sparse(self, content, name="scipy.sparse._csr.csr_matrix"):
        return self.node("SparseMatrixNode", name, type="scipy", file=self._member(content, "npz"))

    def loss(self, name, *args, content=None):
        return self.node(
            "LossNode", name, __reduce__={"args": self.tuple(*args)}, content=content or self.dict({})
        )  # fmt: skip

    def _member(self, content, ending):
        name = f"{len(self.members)}.{ending}"
        self.members[name] = content
        return name


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def opened(path):
    """Return the manifest, the schema and the other members of the estimator of a saved file."""
    with zipfile.ZipFile(path) as outer:
        manifest = json.loads(outer.read(MANIFEST))
        weights = outer.read(WEIGHTS)
        with zipfile.ZipFile(io.BytesIO(outer.read(MODEL))) as inner:
            members = {name: inner.read(name) for name in inner.namelist()}
    return manifest, json.loads(members.pop("schema.json")), members, weights


def written(path, schema, members=(), weights=EMPTY_WEIGHTS, kind=None, model=None, **manifest):
    """Write a file whose hashes are right, as whoever tampers with one would."""
    if model is None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as inner:
            text = schema if isinstance(schema, str | bytes) else _deep({"protocol": PROTOCOL} | schema)
            inner.writestr("schema.json", text)
            for name, content in dict(members).items():
                inner.writestr(name, content)
        model = buffer.getvalue()
    if kind is None:
        kind = f"{schema['__module__']}.{schema['__class__']}" if isinstance(schema, dict) else "builtins.list"
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in ((MODEL, model), (WEIGHTS, weights))}
    manifest = {"format": 1, "class": kind, "versions": {}, "certificate": None, "sha256": hashes} | manifest
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr(MANIFEST, json.dumps(manifest))
        outer.writestr(MODEL, model)
        outer.writestr(WEIGHTS, weights)
    return path


def _deep(schema):
    """JSON of a schema that may be deeper than Python lets a reader go."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        return json.dumps(schema)
    finally:
        sys.setrecursionlimit(limit)


def nodes(schema):
    """Yield every node of a schema."""
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if "__loader__" in part:
                yield part
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)


def of_class(schema, kind):
    """Return the nodes of a class, by its bare name."""
    return [node for node in nodes(schema) if node["__class__"] == kind]


def apart(files, folder, limit=SECONDS):
    """Load files in children of two processes apart, and ask what they hold; return what came of each.

    A verdict is "refused" with a message, "loaded" where asking raised an exception or there is nothing to ask,
    "answered", "ran" with what was run, "slow", or "killed" with a signal; and the peak of memory in MiB beyond that of
    the process before.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "PYTHONWARNINGS": "ignore",
    }
    processes, found = [], {}
    for half in range(min(2, len(files))):
        order, answer = folder / f"order{half}.json", folder / f"answer{half}.json"
        order.write_text(json.dumps({name: str(path) for name, path in list(files.items())[half::2]}))
        command = [sys.executable, __file__, order, answer, str(limit)]
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True)
        processes.append((process, answer))
    for process, answer in processes:
        errors = process.communicate(timeout=600)[1]
        assert process.returncode == 0, errors[-2000:]
        found |= json.loads(answer.read_text())
    return found


def _serve(order, answer, limit):
    import sklearn.ensemble
    import sklearn.model_selection
    import sklearn.neighbors
    import sklearn.neural_network
    import sklearn.svm
    import skops.io

    import abstain
    import abstain.persistence.names

    abstain.persistence.names.classes()
    abstain.load, abstain.testing, abstain.AutoTrust, abstain.TimmBackbone, abstain.LinearProbe  # noqa: B018
    assert skops.io
    assert sklearn
    with contextlib.suppress(ImportError):
        import faiss

        assert faiss
    found = {}
    for name, path in json.loads(Path(order).read_text()).items():
        found[name] = _judged(Path(path), limit)
    Path(answer).write_text(json.dumps(found))


def _judged(path, limit):
    reader, writer = os.pipe()
    before = _resident()
    child = os.fork()
    if child == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.alarm(10 * limit)
        os.write(writer, json.dumps(_loaded(path)).encode()[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    _, status, usage = os.wait4(child, 0)
    memory = max(usage.ru_maxrss // 1024 - before, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        slow = number in (signal.SIGALRM, signal.SIGPROF)
        return {"verdict": "slow" if slow else "killed", "message": signal.Signals(number).name, "memory": memory}
    return json.loads(said) | {"memory": memory}


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


def _loaded(path):
    import warnings

    import abstain

    events = []
    sys.addaudithook(lambda event, _: events.append(event) if event in EVENTS else None)
    warnings.simplefilter("ignore")
    try:
        estimator = abstain.load(path)
    except ValueError as error:
        verdict = {"verdict": "refused", "message": str(error)[:500]}
    except BaseException:
        verdict = {"verdict": "raised", "message": traceback.format_exc()[-500:]}
    else:
        verdict = _asked(estimator, path)
    return {"verdict": "ran", "message": ", ".join(events)} if events else verdict


def _asked(estimator, path):
    rows = path.with_suffix(".json")
    X = json.loads(rows.read_text()) if rows.exists() else np.random.default_rng(0).normal(size=(20, 4))
    answered = False
    for method in ("predict", "predict_proba", "decision_function", "transform", "decide", "score_samples"):
        try:
            if hasattr(estimator, method):
                getattr(estimator, method)(X)
                answered = True
        except Exception as error:
            message = f"{method}: {error!r}"
            return {"verdict": "loaded", "message": message[:300]}
    return {"verdict": "answered" if answered else "loaded", "message": type(estimator).__name__}


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))


def once(tmp_path_factory, name, make, patience=300.0):
    """What ``make()`` returns, in JSON, made by one of the workers of pytest-xdist and read by the others."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    path = tmp_path_factory.getbasetemp().parent / f"{name}.json"
    try:
        path.with_suffix(".begun").touch(exist_ok=False)
    except FileExistsError:
        until = time.monotonic() + patience
        while not path.exists():
            assert time.monotonic() < until, f"another worker does not finish {name}"
            time.sleep(0.2)
        return json.loads(path.read_text())
    found = make()
    path.with_suffix(".part").write_text(json.dumps(found))
    path.with_suffix(".part").rename(path)
    return found
