"""Nearest rows: faiss where it is installed, scikit-learn otherwise, with the same answers."""

import importlib.util

import numpy as np

from abstain.utils.optional import import_extra
from abstain.utils.validation import check_choice

ENGINES = ("auto", "faiss", "sklearn")
_FEW_COLUMNS = 4
KINDS = ("flat", "ivf", "hnsw", "auto")


def build_index(rows, kind="flat", engine="auto"):
    """Return an index over rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        float32; kept by reference, so that distances can be exact.
    kind : {"flat", "ivf", "hnsw", "auto"}, default="flat"
        "flat" compares with every row. The others are approximate and need faiss; "auto" is flat up to 200 000 rows,
        inverted lists up to five millions, and a graph beyond.
    engine : {"auto", "faiss", "sklearn"}, default="auto"
        "auto" is scikit-learn in up to four columns, where its trees beat any comparison with every row, and faiss
        in more, where that is installed.

    Returns
    -------
    index : object
        With ``search(queries, k) -> (distance, position)``, both of shape (m, k), nearest first.
    """
    check_choice(engine, "engine", ENGINES)
    check_choice(kind, "index", KINDS)
    if kind == "auto":
        kind = "flat" if len(rows) <= 200_000 else "ivf" if len(rows) <= 5_000_000 else "hnsw"
    if engine == "auto":
        engine = _engine(rows, kind)
    if engine == "sklearn" and kind != "flat":
        raise ValueError(f'index="{kind}" is approximate search, which faiss does; use engine="faiss" or index="flat".')
    return RowIndex(rows, kind, engine)


class RowIndex:
    """An index over rows. Its pickles and files hold the rows, from which it is built anew with what is there.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        float32.
    kind : {"flat", "ivf", "hnsw"}
        How faiss searches.
    engine : {"faiss", "sklearn"}
        What searches.
    """

    def __init__(self, rows, kind, engine):
        self._build(rows, kind, engine)

    def _build(self, rows, kind, engine):
        self.rows, self.kind, self.engine = rows, kind, engine
        self._searcher = _Faiss(rows, kind) if engine == "faiss" else _Trees(rows)

    def search(self, queries, k):
        """Distances and positions of the nearest rows.

        The expansion of squares that makes search fast loses digits between near rows, so the distances to the rows
        found are taken again from differences.
        """
        position = self._searcher.positions(queries, min(k, len(self.rows)))
        distance = np.empty(position.shape)
        for j in range(position.shape[1]):
            difference = queries - self.rows[position[:, j]]
            distance[:, j] = np.sqrt(np.einsum("ij,ij->i", difference, difference, dtype=np.float64))
        order = np.argsort(distance, axis=1, kind="stable")
        return np.take_along_axis(distance, order, axis=1), np.take_along_axis(position, order, axis=1)

    def __getstate__(self):
        return {"rows": self.rows, "kind": self.kind}

    def __setstate__(self, state):
        self._build(state["rows"], state["kind"], _engine(**state))


def _engine(rows, kind):
    """What searches on this machine."""
    faiss = kind != "flat" or (rows.shape[1] > _FEW_COLUMNS and importlib.util.find_spec("faiss"))
    return "faiss" if faiss else "sklearn"


class _Trees:
    """Exact search by scikit-learn: trees in few dimensions, products in many."""

    def __init__(self, rows):
        from sklearn.neighbors import NearestNeighbors

        self.tree = NearestNeighbors().fit(rows)

    def positions(self, queries, k):
        return self.tree.kneighbors(queries, k, return_distance=False)


class _Faiss:
    """Search by faiss, on a GPU where there is one."""

    def __init__(self, rows, kind):
        self.kind = kind
        faiss = import_extra("faiss", "faiss")
        n, d = rows.shape
        lists = int(4 * np.sqrt(n))
        factory = {"flat": "Flat", "ivf": f"IVF{max(min(lists, n // 39), 1)},Flat", "hnsw": "HNSW32,Flat"}
        index = faiss.index_factory(d, factory[kind])
        if kind == "ivf":  # a GPU takes over what the index has been told, but cannot be told so
            faiss.ParameterSpace().set_index_parameter(index, "nprobe", max(lists // 32, 8))
        if kind != "hnsw" and getattr(faiss, "get_num_gpus", int)():
            index = faiss.index_cpu_to_all_gpus(index)
        if kind == "ivf":
            index.train(rows)
        index.add(rows)
        self.index = index

    def positions(self, queries, k):
        if self.kind == "hnsw":
            self.index.hnsw.efSearch = max(64, 4 * k)
        position = self.index.search(np.ascontiguousarray(queries), k)[1]
        if (position < 0).any():
            raise ValueError(f'index="{self.kind}" found fewer than {k} neighbours; use index="flat".')
        return position
