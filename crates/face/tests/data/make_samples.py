"""Makes the samples beside this file: python3 make_samples.py. Needs numpy.

yunet_n, yunet_s   random weights of both published forms, pictures, and what the network makes of them in float64. The forward
                   pass below was compared with the published ONNX files under onnxruntime: 1e-6 at most.
bright             a detector that is made up: where one of its places, 8 x 8 pixels, is brighter than a half, it finds a face of
                   16 x 24 pixels if it is white, a smaller one if it is not, with eyes and mouth 8 pixels from its corner.
"""

import json
import os
import struct

import numpy as np


def conv(x, w, b, stride, pad, depthwise=False):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    k = w.shape[2]
    rows, columns = ((side - k) // stride + 1 for side in x.shape[2:])
    y = np.zeros((x.shape[0], w.shape[0], rows, columns))
    for i in range(k):
        for j in range(k):
            part = x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            y += part * w[None, :, 0, i, j, None, None] if depthwise else np.einsum("nihw,oi->nohw", part, w[:, :, i, j])
    return y + b[None, :, None, None]


class YuNet:
    def __init__(self, weights):
        self.p = {name: np.asarray(value, np.float64) for name, value in weights.items()}

    def linear(self, x, name, *how, **more):
        return conv(x, self.p[name + "weight"], self.p[name + "bias"], *how, **more)

    def norm_relu(self, x, name):
        of = lambda what: self.p[name + what][None, :, None, None]
        x = (x - of("running_mean")) / np.sqrt(of("running_var") + 1e-5)
        return np.maximum(x * of("weight") + of("bias"), 0)

    def unit(self, x, name, activated=True):
        x = self.linear(x, name + "conv1.", 1, 0)
        x = self.linear(x, name + "conv2.", 1, 1, depthwise=True)
        return self.norm_relu(x, name + "bn.") if activated else x

    def pool(self, x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))

    def __call__(self, x):
        stage = "backbone.model"
        x = self.norm_relu(self.linear(x, stage + "0.conv1.", 2, 1), stage + "0.bn1.")
        x = self.pool(self.unit(x, stage + "0.conv2."))
        levels = []
        for i in range(1, 6):
            x = self.unit(self.unit(x, f"{stage}{i}.conv1."), f"{stage}{i}.conv2.")
            if i >= 3:
                levels.append(x)
            if i in (2, 3, 4):
                x = self.pool(x)
        for i in (2, 1, 0):
            if i < 2:
                levels[i] = levels[i] + levels[i + 1].repeat(2, 2).repeat(2, 3)
            levels[i] = self.unit(levels[i], f"neck.lateral_convs.{i}.")
        return [self.head(x, i) for i, x in enumerate(levels)]

    def head(self, x, i):
        shared = f"bbox_head.multi_level_share_convs.{i}.0."
        if shared + "conv1.weight" in self.p:
            x = self.unit(x, shared)
        kinds = [self.unit(x, f"bbox_head.multi_level_{kind}.{i}.", False) for kind in ("cls", "obj", "bbox", "kps")]
        return np.concatenate(kinds, 1)


def names(widths, shared):
    """Every linear layer of a network: name, outputs, inputs, kernel; and every normalisation: name, None."""
    def unit(name, inputs, outputs, activated=True):
        yield name + "conv1.", outputs, inputs, 1
        yield name + "conv2.", outputs, 1, 3
        if activated:
            yield name + "bn.", outputs, None, None

    stage = "backbone.model"
    yield stage + "0.conv1.", widths[0], 3, 3
    yield stage + "0.bn1.", widths[0], None, None
    yield from unit(stage + "0.conv2.", widths[0], widths[1])
    for i in range(1, 6):
        yield from unit(f"{stage}{i}.conv1.", widths[i], widths[i])
        yield from unit(f"{stage}{i}.conv2.", widths[i], widths[i + 1])
    for i in range(3):
        yield from unit(f"neck.lateral_convs.{i}.", widths[6], widths[6])
        if shared:
            yield from unit(f"bbox_head.multi_level_share_convs.{i}.0.", widths[6], widths[6])
        for kind, outputs in (("cls", 1), ("bbox", 4), ("obj", 1), ("kps", 10)):
            yield from unit(f"bbox_head.multi_level_{kind}.{i}.", widths[6], outputs, False)


def random(widths, shared, seed):
    draw, p = np.random.RandomState(seed), {}
    for name, outputs, inputs, kernel in names(widths, shared):
        if inputs is None:
            p[name + "weight"] = 1 + 0.3 * draw.randn(outputs)
            p[name + "bias"] = 0.3 * draw.randn(outputs)
            p[name + "running_mean"] = 0.2 * draw.randn(outputs)
            p[name + "running_var"] = draw.uniform(0.5, 1.5, outputs)
        else:
            p[name + "weight"] = draw.randn(outputs, inputs, kernel, kernel) * 1.4 / np.sqrt(inputs * kernel**2)
            p[name + "bias"] = 0.3 * draw.randn(outputs)
    # Pictures are a hundred times as large as what comes after.
    p["backbone.model0.conv1.weight"] /= 100
    p = {name: value.astype(np.float32) for name, value in p.items()}
    pictures = draw.uniform(0, 255, (2, 3, 32, 64)).astype(np.float32)
    tensors = {"param." + name: value for name, value in p.items()}
    tensors["in.pictures"] = pictures
    for stride, level in zip((8, 16, 32), YuNet(p)(pictures)):
        tensors[f"out.{stride}"] = level.astype(np.float32)
    return tensors


def bright():
    """Every map is the brightness from 0 to 1; the finest level alone predicts, what is said above."""
    p = {}
    for name, outputs, inputs, kernel in names([1] * 7, False):
        if inputs is None:
            p[name + "weight"] = np.full(outputs, np.sqrt(1 + 1e-5))
            p[name + "bias"], p[name + "running_mean"], p[name + "running_var"] = np.zeros((3, outputs)) + [[0], [0], [1]]
        else:
            p[name + "weight"] = np.zeros((outputs, inputs, kernel, kernel))
            p[name + "weight"][:, :, kernel // 2, kernel // 2] = 1
            p[name + "bias"] = np.zeros(outputs)
    p["backbone.model0.conv1.weight"] /= 3 * 255
    # What comes from the coarser levels would be added.
    for i in (1, 2):
        p[f"neck.lateral_convs.{i}.conv1.weight"] *= 0
    for i in range(3):
        for kind in ("cls", "obj"):
            name = f"bbox_head.multi_level_{kind}.{i}."
            # Sure above a brightness of a half.
            p[name + "conv1.weight"] *= 100
            p[name + "conv2.bias"] += -50 if i == 0 else -1e4
        name = f"bbox_head.multi_level_bbox.{i}."
        p[name + "conv1.weight"] *= np.array([0, 0, 1, 1]).reshape(4, 1, 1, 1)
        p[name + "conv2.bias"] += [0, 0, np.log(2) - 1, np.log(3) - 1]
        name = f"bbox_head.multi_level_kps.{i}."
        p[name + "conv1.weight"] *= 0
        p[name + "conv2.bias"] += [-1, -1, 1, -1, 0, 0, -0.8, 1, 0.8, 1]
    return {name: value.astype(np.float32) for name, value in p.items()}


def write(name, tensors):
    header, blob = {}, b""
    for key in sorted(tensors):
        data = tensors[key].tobytes()
        header[key] = {"dtype": "F32", "shape": list(tensors[key].shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".safetensors")
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + blob)


if __name__ == "__main__":
    write("yunet_n", random([3, 4, 5, 6, 6, 6, 6], True, 7))
    write("yunet_s", random([2, 3, 4, 5, 5, 5, 5], False, 8))
    write("bright", bright())
