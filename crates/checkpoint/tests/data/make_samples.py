"""Writes the samples beside this file. Needs Python 3 and NumPy; run it without arguments.

plain_p0.pkl .. plain_p5.pkl   the same plain structure in every pickle protocol
tensorflow_tiny.pkl            a StyleGAN2 (8x8 pixels) as the TensorFlow program pickles it:
                               a tuple (G, D, Gs) of dnnlib.tflib.network.Network
tensorflow_tiny.safetensors    its tensors under the keys of stylegan2-ada-pytorch
projected_w.npz                as stylegan2-ada-pytorch's projector.py writes it: w [1, num_ws, w_dim]
arrays.npz                     compressed, with other types, orders and shapes
array.npy                      one array
"""

import collections
import json
import pickle
import struct
import sys
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def module(name):
    found = types.ModuleType(name)
    sys.modules[name] = found
    return found


for package in ("dnnlib", "dnnlib.tflib"):
    module(package)
network_module = module("dnnlib.tflib.network")
util_module = module("dnnlib.util")


class EasyDict(dict):
    __module__ = "dnnlib.util"


class Network:
    __module__ = "dnnlib.tflib.network"

    def __init__(self, **state):
        self.state = state

    def __getstate__(self):
        return self.state


class Plain:
    """Some class that no reader knows."""

    __module__ = "somewhere"


EasyDict.__qualname__ = "EasyDict"
Network.__qualname__ = "Network"
Plain.__qualname__ = "Plain"
util_module.EasyDict = EasyDict
network_module.Network = Network
module("somewhere").Plain = Plain


def plain():
    array = np.arange(12, dtype=np.float32).reshape(3, 4) / 8 - 0.5
    shared = [1, 2]
    thing = Plain()
    thing.size = 7
    return {
        "none": None,
        "bools": [True, False],
        "ints": [0, 255, 65535, -1, 2**31 - 1, -(2**31), 2**62, 2**100, -(2**100)],
        "floats": [0.5, -1e300, float("inf")],
        "text": "héllo\n\\ 😀",
        "bytes": bytes(range(256)),
        "empty": [(), [], {}, "", b""],
        "tuples": [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {5},
        "frozen": frozenset([6]),
        "ordered": collections.OrderedDict(a=1, b=2),
        "easy": EasyDict(z_dim=8, inner=EasyDict(x=1.5)),
        "shared": [shared, shared],
        "object": thing,
        "class": collections.OrderedDict,
        "array": array,
        "fortran": np.asfortranarray(array),
        "big_endian": array.astype(">f4"),
        "strided": array[:, ::2],
        "scalar_array": np.array(2.5, dtype=np.float64),
        "empty_array": np.zeros((0, 3), dtype=np.float32),
        "arrays": {
            name: np.array([0, 1, 100], dtype=name)
            for name in "bool u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8".split()
        },
        "scalars": [np.float64(0.25), np.float32(-2), np.int64(-3), np.bool_(True), np.uint64(2**63)],
        "words": np.array(["ab", "c"]),
        "doubles": np.array([0.1, 1 / 3]),
    }


def write_plain():
    for protocol in range(6):
        (HERE / f"plain_p{protocol}.pkl").write_bytes(pickle.dumps(plain(), protocol=protocol))


rng = np.random.RandomState(7)


def weight(*shape):
    return rng.randn(*shape).astype(np.float32)


Z, W, CHANNELS, COLOURS = 6, 5, {4: 4, 8: 3}, 3


def modulated(name, kernel, inputs, outputs, noise=True):
    yield f"{name}/weight", weight(kernel, kernel, inputs, outputs)
    yield f"{name}/mod_weight", weight(W, inputs)
    yield f"{name}/mod_bias", weight(inputs)
    yield f"{name}/bias", weight(outputs)
    if noise:
        # Session.run gives a NumPy scalar for a variable without dimensions.
        yield f"{name}/noise_strength", np.float32(rng.randn())


def generator(name):
    top, low = CHANNELS[8], CHANNELS[4]
    mapping = []
    for i, (fan_in, fan_out) in enumerate([(Z, W), (W, W)]):
        mapping += [(f"Dense{i}/weight", weight(fan_in, fan_out)), (f"Dense{i}/bias", weight(fan_out))]
    synthesis = [(f"noise{i}", weight(1, 1, size, size)) for i, size in enumerate([4, 8, 8])]
    synthesis += [("4x4/Const/const", weight(1, low, 4, 4))]
    synthesis += modulated("4x4/Conv", 3, low, low)
    synthesis += modulated("4x4/ToRGB", 1, low, COLOURS, noise=False)
    synthesis += modulated("8x8/Conv0_up", 3, low, top)
    synthesis += modulated("8x8/Conv1", 3, top, top)
    synthesis += modulated("8x8/ToRGB", 1, top, COLOURS, noise=False)
    kwargs = dict(
        num_channels=COLOURS, resolution=8, label_size=0, latent_size=Z, dlatent_size=W,
        fmap_base=12, fmap_max=4, mapping_layers=2, architecture="skip",
    )

    def component(part, function, variables):
        return Network(
            version=4, name=part, static_kwargs=dict(kwargs), components={},
            build_module_src="raise SystemExit('never run')", build_func_name=function,
            variables=variables,
        )

    return Network(
        version=4, name=name, static_kwargs=dict(kwargs),
        components={
            "synthesis": component("G_synthesis", "G_synthesis_stylegan2", synthesis),
            "mapping": component("G_mapping", "G_mapping", mapping),
        },
        build_module_src="raise SystemExit('never run')", build_func_name="G_main",
        variables=[("lod", np.float32(0)), ("dlatent_avg", weight(W))],
    )


def discriminator():
    top, low = CHANNELS[8], CHANNELS[4]
    variables = [
        ("lod", np.float32(0)),
        ("8x8/FromRGB/weight", weight(1, 1, COLOURS, top)), ("8x8/FromRGB/bias", weight(top)),
        ("8x8/Conv0/weight", weight(3, 3, top, top)), ("8x8/Conv0/bias", weight(top)),
        ("8x8/Conv1_down/weight", weight(3, 3, top, low)), ("8x8/Conv1_down/bias", weight(low)),
        ("8x8/Skip/weight", weight(1, 1, top, low)),
        ("4x4/Conv/weight", weight(3, 3, low + 1, low)), ("4x4/Conv/bias", weight(low)),
        ("4x4/Dense0/weight", weight(low * 16, low)), ("4x4/Dense0/bias", weight(low)),
        ("Output/weight", weight(low, 1)), ("Output/bias", weight(1)),
    ]
    return Network(
        version=4, name="D",
        static_kwargs=dict(num_channels=COLOURS, resolution=8, label_size=0, fmap_base=12, fmap_max=4),
        components={}, build_module_src="raise SystemExit('never run')",
        build_func_name="D_stylegan2", variables=variables,
    )


def collected(network):
    out = dict(network.state["variables"])
    for part, inner in network.state["components"].items():
        out.update({f"{part}/{name}": value for name, value in collected(inner).items()})
    return out


def convolution(kernel):
    return kernel.transpose(3, 2, 0, 1)


def flipped(kernel):
    return convolution(kernel[::-1, ::-1])


FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64


def expected_generator(network):
    source = collected(network)
    out = {"mapping.w_avg": source["dlatent_avg"]}
    for i in range(2):
        out[f"mapping.fc{i}.weight"] = source[f"mapping/Dense{i}/weight"].T
        out[f"mapping.fc{i}.bias"] = source[f"mapping/Dense{i}/bias"]
    layers = [("b4.conv1", "4x4/Conv", 0), ("b8.conv0", "8x8/Conv0_up", 1), ("b8.conv1", "8x8/Conv1", 2)]
    for target, name, noise in layers + [("b4.torgb", "4x4/ToRGB", None), ("b8.torgb", "8x8/ToRGB", None)]:
        kernel = source[f"synthesis/{name}/weight"]
        out[f"synthesis.{target}.weight"] = flipped(kernel) if name.endswith("_up") else convolution(kernel)
        out[f"synthesis.{target}.bias"] = source[f"synthesis/{name}/bias"]
        out[f"synthesis.{target}.affine.weight"] = source[f"synthesis/{name}/mod_weight"].T
        out[f"synthesis.{target}.affine.bias"] = source[f"synthesis/{name}/mod_bias"] + np.float32(1)
        if noise is not None:
            out[f"synthesis.{target}.noise_const"] = source[f"synthesis/noise{noise}"][0, 0]
            out[f"synthesis.{target}.noise_strength"] = source[f"synthesis/{name}/noise_strength"]
            out[f"synthesis.{target}.resample_filter"] = FILTER
    out["synthesis.b4.const"] = source["synthesis/4x4/Const/const"][0]
    for block in ("b4", "b8"):
        out[f"synthesis.{block}.resample_filter"] = FILTER
    return out


def expected_discriminator(network):
    source = collected(network)
    out = {}
    pairs = [
        ("b8.fromrgb", "8x8/FromRGB"), ("b8.conv0", "8x8/Conv0"), ("b8.conv1", "8x8/Conv1_down"),
        ("b8.skip", "8x8/Skip"), ("b4.conv", "4x4/Conv"),
    ]
    for target, name in pairs:
        out[f"{target}.weight"] = convolution(source[f"{name}/weight"])
        if f"{name}/bias" in source:
            out[f"{target}.bias"] = source[f"{name}/bias"]
        out[f"{target}.resample_filter"] = FILTER
    for target, name in [("b4.fc", "4x4/Dense0"), ("b4.out", "Output")]:
        out[f"{target}.weight"] = source[f"{name}/weight"].T
        out[f"{target}.bias"] = source[f"{name}/bias"]
    out["b8.resample_filter"] = FILTER
    return out


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, value in sorted(tensors.items()):
        raw = np.ascontiguousarray(value, dtype=np.float32).tobytes()
        header[name] = dict(dtype="F32", shape=list(np.shape(value)), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_tensorflow():
    networks = (generator("G"), discriminator(), generator("Gs"))
    (HERE / "tensorflow_tiny.pkl").write_bytes(pickle.dumps(networks, protocol=4))
    expected = {}
    for prefix, tensors in [
        ("generator.", expected_generator(networks[0])),
        ("discriminator.", expected_discriminator(networks[1])),
        ("generator_ema.", expected_generator(networks[2])),
    ]:
        expected.update({prefix + key: value for key, value in tensors.items()})
    write_safetensors(HERE / "tensorflow_tiny.safetensors", expected)


def write_numpy():
    w = np.arange(3, dtype=np.float32) / 4
    np.savez(HERE / "projected_w.npz", w=np.tile(w, (1, 4, 1)))
    np.savez_compressed(
        HERE / "arrays.npz",
        column_major=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        big_endian=np.arange(3, dtype=">i4"),
        truth=np.array([True, False]),
        scalar=np.float16(0.5),
        empty=np.zeros((0, 3), dtype=np.float32),
    )
    np.save(HERE / "array.npy", np.arange(6, dtype=np.int64).reshape(3, 2))


write_plain()
write_tensorflow()
write_numpy()
