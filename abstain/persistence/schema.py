"""What a file says it holds, looked at as it will be read: which class is made in which way, before any is."""

import json

from abstain.persistence.names import WAYS, classes

# containers of a schema; AutoTrust has some tens of thousands
_LARGEST = 2_000_000
_SECURE_PROTOCOL = 2


def check_schema(raw, trusted):
    """Refuse a schema that names what is not known, or reads it in a way that is not its own.

    A name alone says little: an array that is made as an object of compiled code is made of whatever the file says.

    Parameters
    ----------
    raw : bytes
        JSON.
    trusted : list of str
        Names of further classes whose state may be restored.

    Returns
    -------
    names : list of str
        All that is named in it.

    Raises
    ------
    ValueError
        If something is not known; the message names it.
    """
    if raw.count(b"[") + raw.count(b"{") > _LARGEST:
        raise ValueError("more parts than any estimator has")
    schema = json.loads(raw)
    if not isinstance(schema, dict) or not isinstance(schema.get("protocol"), int):
        raise ValueError("no estimator")
    if schema["protocol"] < _SECURE_PROTOCOL:
        raise ValueError(f"a format before the secure one ({schema['protocol']})")
    restored = classes() | set(trusted)
    nodes = list(_nodes(schema))
    unknown = sorted({f"{_name(node)}{_as(node)}" for node in nodes if not _is_known(node, restored)})
    if unknown:
        raise ValueError(", ".join(unknown[:5]))
    _check_shared(nodes)
    return sorted({_name(node) for node in nodes})


def _nodes(schema):
    """Yield everything that would be read as an object, wherever it stands."""
    left = [schema]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            # keys of a dictionary of the user may be called so, too: their values are nodes
            if any(key in node and not isinstance(node[key], dict) for key in ("__loader__", "__id__")):
                yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)


def _name(node):
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _as(node):
    loader = node.get("__loader__")
    return "" if loader == "ObjectNode" else f" (as {loader})"


def _is_known(node, restored):
    loader, name = node.get("__loader__"), _name(node)
    if loader == "ObjectNode":
        return name in restored
    if name not in WAYS.get(loader, ()) and not (loader == "TupleNode" and name in restored):
        return False
    if loader == "DictNode":  # keys are made by calling their types
        types = node["key_types"]
        return types["__loader__"] == "ListNode" and all(part["__loader__"] == "TypeNode" for part in types["content"])
    return loader != "PartialNode" or node["content"]["func"]["__loader__"] == "FunctionNode"


def _check_shared(nodes):
    """What is shared is written out each time; a mere reference could stand for something else, or for a thousand."""
    first: dict = {}
    for node in nodes:
        if "__id__" in node and not _same(first.setdefault(node["__id__"], node), node):
            raise ValueError(f"a reference to {_name(node)} that differs from it")


def _same(one, other):
    """Whether two nodes say the same, but for the numbers of what is in them and the names of its files."""
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() - {"__id__", "file"}
        return keys == other.keys() - {"__id__", "file"} and all(_same(one[key], other[key]) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
