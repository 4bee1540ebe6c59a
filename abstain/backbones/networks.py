"""Build a timm network, fill it with weights, and read its layers."""

import difflib
from pathlib import Path

import timm
import torch

from abstain.utils.optional import import_extra


def build(model_name, pretrained, weights, pool):
    """Create a frozen network in evaluation mode; random weights are the same every time."""
    _check_name(model_name)
    options = {} if pool is None else {"global_pool": pool}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(model_name, pretrained=pretrained, **options)
    if weights is not None:
        load_weights(network, weights)
    return network.eval().requires_grad_(False)


def _check_name(name):
    """Refuse what is no name of a network, with names that are near; a name with a colon is that of a hub."""
    if not isinstance(name, str) or not (":" in name or timm.is_model(name)):
        near = difflib.get_close_matches(str(name), timm.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() has them all."
        raise ValueError(f"model_name must be the name of a timm network; got {name!r}: {hint}")


def preprocessing(network, mean, std, input_size):
    """Return the arguments of timm's evaluation transform: the network's own, and what was given instead."""
    config = timm.data.resolve_model_data_config(network)
    own = {name: config[name] for name in ("interpolation", "crop_pct", "mean", "std")}
    size = config["input_size"] if input_size is None else (3, input_size, input_size)
    given = {name: tuple(value) for name, value in (("mean", mean), ("std", std)) if value is not None}
    return own | given | {"input_size": size, "is_training": False}


def features(network, layer, images):
    """Last features before the classifier, or the output of a named layer."""
    if layer is not None:
        return at_layer(network, layer, images)
    return network.forward_head(network.forward_features(images), pre_logits=True)


def load_weights(network, path):
    """Load a state dict by names, or by position where every shape agrees in order."""
    if Path(path).suffix == ".safetensors":
        state = import_extra("safetensors.torch", "vision").load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    own = network.state_dict()
    if set(own) != set(state):
        shapes = [tuple(t.shape) for t in state.values()], [tuple(t.shape) for t in own.values()]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"weights {str(path)!r} do not fit the network: {len(state)} tensors against {len(own)}, and neither "
                "names nor shapes in order agree. Check model_name."
            )
        state = dict(zip(own, state.values(), strict=True))
    network.load_state_dict(state)


def at_layer(network, name, images):
    """Output of a named module, averaged over positions."""
    modules = dict(network.named_modules())
    if name not in modules:
        raise ValueError(f"layer={name!r} is no module of the network; some are {list(modules)[1:20]}.")
    caught = []
    handle = modules[name].register_forward_hook(lambda module, inputs, output: caught.append(output))
    try:
        network(images)
    finally:
        handle.remove()
    out = caught[0]
    if out.ndim == 4:
        return out.mean(dim=(2, 3))
    return out.mean(dim=1) if out.ndim == 3 else out
