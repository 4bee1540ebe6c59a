"""Build a timm network, fill it with weights, and read its layers."""

import difflib
import os
import threading
from functools import cache
from pathlib import Path

import timm
import torch

from abstain.utils.optional import import_extra

RANDOM = "random"
# random weights come from the global generator, which other threads must not draw from meanwhile
_BUILDING = threading.Lock()
_CAUGHT = threading.local()


def build(model_name, pretrained, weights, pool, layer, state=None):
    """Create a frozen network in evaluation mode, its ``layer`` watched; random weights are the same every time.

    ``state`` are weights as `arrays` returns them, which take the place of all others.
    """
    _check_name(model_name)
    options = {} if pool is None else {"global_pool": pool}
    _allow_forks()
    with _BUILDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(model_name, pretrained=pretrained, **options)
    if weights not in (None, RANDOM):
        load_weights(network, weights)
    if state is not None:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    if layer is not None:
        _watch(network, layer)
    return network.eval().requires_grad_(False)


def arrays(network):
    """Weights of a network, as copies: a dictionary of NumPy arrays."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


@cache
def _allow_forks():
    """Let forked children compute: the threads of torch do not survive a fork, and it would wait for them."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


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


def pixels(config):
    """Transform of timm without its normalisation: a PIL image to bytes (3, H, W), a quarter of what floats weigh.

    What is drawn after normalisation, such as an erased rectangle, asks for floats.
    """
    return timm.data.create_transform(**config, use_prefetcher=not config.get("re_prob"))


def normalised(images, config):
    """Bytes as the network takes them; floats are so already."""
    if images.dtype != torch.uint8:
        return images.float()
    mean, std = (
        # CUDA has taken such numbers before it returns, and need not be waited for
        torch.tensor([255.0 * value for value in config[name]])
        .to(images.device, non_blocking=images.device.type == "cuda")
        .view(1, -1, 1, 1)
        for name in ("mean", "std")
    )
    return (images.float() - mean) / std


def features(network, layer, images):
    """Last features before the classifier, or the output of a named layer.

    Where two heads read a token each (DeiT and PiT, distilled), both tokens stand side by side: from their mean, which
    timm gives, the logits do not follow.
    """
    if layer is not None:
        return _pooled(_output_of_layer(network, images), getattr(network, "output_fmt", "") == "NHWC")
    tokens = network.forward_features(images)
    if getattr(network, "head_dist", None) is not None and getattr(network, "global_pool", "") == "token":
        return tokens[:, :2].flatten(1)
    return network.forward_head(tokens, pre_logits=True)


def fetched_later(features):
    """A function that waits for features and returns them as an ndarray; a GPU copies them meanwhile."""
    if features.device.type != "cuda":
        return lambda: features.cpu().numpy()
    host = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
    host.copy_(features, non_blocking=True)
    done = torch.cuda.Event(blocking=True)  # to wait asleep, and leave the core to those who decode
    done.record()

    def fetch():
        done.synchronize()
        return host.numpy()

    return fetch


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


def _watch(network, name):
    """Hook a layer, once, before threads share the network: each call finds the output of its own thread."""
    modules = dict(network.named_modules())
    if name not in modules:
        raise ValueError(f"layer={name!r} is no module of the network; some are {list(modules)[1:20]}.")
    modules[name].register_forward_hook(_keep)


def _keep(module, inputs, output):
    if hasattr(_CAUGHT, "outputs"):
        _CAUGHT.outputs.append(output)


def _output_of_layer(network, images):
    _CAUGHT.outputs = []
    try:
        network(images)
        if not _CAUGHT.outputs:
            raise ValueError("layer is a module that the network does not run; name one that its forward pass uses.")
        return _CAUGHT.outputs[0]
    finally:
        del _CAUGHT.outputs


def _pooled(output, channels_last):
    """Mean over positions."""
    if output.ndim == 4:
        return output.mean(dim=(1, 2) if channels_last else (2, 3))
    return output.mean(dim=1) if output.ndim == 3 else output
