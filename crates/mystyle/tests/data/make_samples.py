"""Writes the samples beside this file. Needs Python 3 and NumPy, not torch; run it without arguments.

Latents have 3 entries, W+ codes 4 rows.

projected_w.npz   as stylegan2-ada-pytorch's projector.py writes it: w [1, 4, 3]
mystyle.pt        as torch.save writes a W+ code [1, 4, 3] with equal rows
projector.pt      as stylegan2-pytorch's projector.py writes two pictures: a dict by picture of img, latent [3], noise
"""

import collections
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

for name in ("torch", "torch._utils"):
    sys.modules[name] = types.ModuleType(name)


def _rebuild_tensor_v2():
    pass


class FloatStorage:
    pass


_rebuild_tensor_v2.__module__ = "torch._utils"
sys.modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
FloatStorage.__module__ = "torch"
sys.modules["torch"].FloatStorage = FloatStorage


class Storage:
    def __init__(self, array):
        self.array = array


class Tensor:
    def __init__(self, array):
        self.array = np.ascontiguousarray(array, dtype=np.float32)

    def __reduce__(self):
        strides = tuple(s // 4 for s in self.array.strides)
        hooks = collections.OrderedDict()
        arguments = (Storage(self.array), 0, self.array.shape, strides, False, hooks)
        return _rebuild_tensor_v2, arguments


def save(path, value):
    """What torch.save writes: the pickle, and a record for each storage."""
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            storages.append(value.array)
            return "storage", FloatStorage, str(len(storages) - 1), "cpu", value.array.size

    stem = path.stem
    with zipfile.ZipFile(path, "w") as archive:

        def record(name, data):
            archive.writestr(zipfile.ZipInfo(f"{stem}/{name}"), data)

        with archive.open(zipfile.ZipInfo(f"{stem}/data.pkl"), "w") as file:
            Pickler(file, protocol=2).dump(value)
        for index, array in enumerate(storages):
            record(f"data/{index}", array.tobytes())
        record("version", b"3\n")


w = np.arange(3, dtype=np.float32) / 4
code = np.tile(w, (1, 4, 1))
np.savez(HERE / "projected_w.npz", w=code)
save(HERE / "mystyle.pt", Tensor(code + 1))
picture = np.zeros((3, 2, 2))
save(
    HERE / "projector.pt",
    {
        f"photos/{name}.png": {"img": Tensor(picture), "latent": Tensor(latent), "noise": [Tensor(picture[:1])]}
        for name, latent in [("sea", w), ("anna", w + 2)]
    },
)
