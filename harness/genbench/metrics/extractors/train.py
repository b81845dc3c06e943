"""Trains the weights that the package ships: `python -m genbench.metrics.extractors.train digits|mnist`.

Protocol: only the training split of the dataset of that name is seen. Each epoch shows every picture once, moved,
turned, scaled and sheared a little, and then left grey (half of them), thresholded, or drawn pixel by pixel (a quarter
each), so that binary views are as much at home in the features as grey pictures are. The features are asked for the
class (cross-entropy) and, through a linear map, for the very picture that was shown (squared error): features that know
the class alone would not see how well a picture is drawn. Adam with a cosine schedule, fixed seed, one thread: on one
machine and one version of torch the same file comes out. The weights of the last step are kept, none is selected by
held-out data; accuracies on the test split are printed.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from genbench.data import Dataset, ViewOptions, apply_view, cache_folder
from genbench.data.device import DeviceSplit
from genbench.metrics.extractors.network import ARCHITECTURES, FEATURES, FeatureNetwork
from genbench.model.base import adam, cosine, set_learning_rate

SEED = 0
BATCH = 64
LEARNING_RATE = 2e-3
EPOCHS = {"digits": 150, "mnist": 12}

#: Weight of the picture's mean squared error per pixel against the cross-entropy.
PICTURE_WEIGHT = 10.0

#: Largest turn in radians, change of size and shear, and shift as a fraction of the picture's size.
TURN, STRETCH, SHIFT = 0.15, 0.1, 0.06


def train(name: str, dataset: Dataset, steps: int) -> FeatureNetwork:
    """The network of that `name`, trained on the dataset's training split for so many steps, in evaluation mode."""
    torch.manual_seed(SEED)
    split = DeviceSplit(dataset, "train", torch.device("cpu"))
    batches = split.shuffled(BATCH, torch.Generator().manual_seed(SEED))
    network = FeatureNetwork(name)
    picture = nn.Linear(FEATURES, math.prod(network.shape))
    optimizer = adam([*network.parameters(), *picture.parameters()], LEARNING_RATE)
    for step in range(steps):
        shown, y = next(batches)
        assert y is not None  # both datasets have classes
        x = binarize_some(distort(shown))
        features = network.features(x)
        error = F.mse_loss(picture(features), x.flatten(1))
        loss = F.cross_entropy(network.classify(features), y) + PICTURE_WEIGHT * error
        set_learning_rate(optimizer, LEARNING_RATE * cosine(step / steps))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return network.eval()


def distort(x: Tensor) -> Tensor:
    """Each picture under its own small random affine map, bilinearly interpolated; `(B, C, H, W)`."""
    n = len(x)
    turn, shear = (torch.rand(2, n) * 2 - 1) * TURN
    size = 1 + (torch.rand(2, n) * 2 - 1) * STRETCH
    shift = (torch.rand(2, n) * 2 - 1) * 2 * SHIFT
    cos, sin = torch.cos(turn), torch.sin(turn)
    rows = [
        torch.stack([size[0] * cos, size[0] * (shear * cos - sin), shift[0]], dim=1),
        torch.stack([size[1] * sin, size[1] * (shear * sin + cos), shift[1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False).clamp(0, 1)


def binarize_some(x: Tensor) -> Tensor:
    """Half of the pictures as they are, a quarter thresholded, a quarter drawn pixel by pixel; grey in [0, 1]."""
    threshold = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, torch.full_like(x, 0.5), torch.rand_like(x))
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x, (x > threshold).float())


def accuracy(network: FeatureNetwork, dataset: Dataset) -> float:
    """The fraction of the test split that is classified right."""
    split = DeviceSplit(dataset, "test", torch.device("cpu"))
    with torch.no_grad():
        right = sum((network(batch.x).argmax(1) == batch.y).sum().item() for batch in split.chunks(1000))
    return right / len(split)


def main() -> None:
    """Train one extractor and write its weights beside this file."""
    parser = argparse.ArgumentParser(description="Train the weights of a feature extractor.")
    parser.add_argument("name", choices=sorted(ARCHITECTURES))
    name = parser.parse_args().name
    torch.set_num_threads(1)
    dataset = load(name)
    network = train(name, dataset, EPOCHS[name] * (len(dataset.train) // BATCH))
    Path(__file__).with_name(f"{name}.safetensors").write_bytes(save(network.state_dict()))
    for binarize in (None, "threshold", "static"):
        shown = apply_view(dataset, ViewOptions(binarize=binarize))
        print(f"{name}, {binarize or 'grey'}: test accuracy {accuracy(network, shown):.4f}")


def load(name: str) -> Dataset:
    """The dataset that the extractor of that `name` is trained on."""
    from genbench_datasets.digits import Digits
    from genbench_datasets.mnist import MNIST

    source = {"digits": Digits, "mnist": MNIST}[name]
    return source(source.Config(), cache_folder()).load()


if __name__ == "__main__":
    main()
