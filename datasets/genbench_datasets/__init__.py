"""The standard datasets. Nothing heavy is imported before one of them is loaded."""

from collections.abc import Iterator

import genbench

GENBENCH_API = 1


@genbench.hookimpl
def genbench_datasets() -> Iterator[genbench.DatasetEntry]:
    """Every dataset of this package."""
    yield genbench.DatasetEntry(
        "digits",
        "genbench_datasets.digits:Digits",
        summary="8×8 handwritten digits, 17 grey levels, 1,797 images; comes with scikit-learn",
        reference="Alpaydin & Kaynak 1998",
    )
    yield genbench.DatasetEntry(
        "toy2d",
        "genbench_datasets.toy2d:Toy2D",
        summary="points in the plane: two moons, 8 Gaussians, a checkerboard or two spirals; generated",
    )
    yield genbench.DatasetEntry(
        "sprites",
        "genbench_datasets.sprites:Sprites",
        summary="32×32 pictures of a square, ellipse or heart, with the factors that made them; generated",
        reference="after Matthey, Higgins, Hassabis & Lerchner 2017",
    )
    yield genbench.DatasetEntry(
        "mnist",
        "genbench_datasets.mnist:MNIST",
        summary="28×28 handwritten digits, 256 grey levels, 70,000 images; downloaded once",
        reference="LeCun, Bottou, Bengio & Haffner 1998",
    )
    yield genbench.DatasetEntry(
        "fashion-mnist",
        "genbench_datasets.mnist:FashionMNIST",
        summary="28×28 pictures of clothes, 256 grey levels, 70,000 images; downloaded once",
        reference="Xiao, Rasul & Vollgraf 2017",
    )
    yield genbench.DatasetEntry(
        "cifar10",
        "genbench_datasets.cifar10:CIFAR10",
        summary="32×32 colour photographs of ten things, 60,000 images; downloaded once",
        reference="Krizhevsky 2009",
    )
    yield genbench.DatasetEntry(
        "folder",
        "genbench_datasets.folder:Folder",
        summary="your own images: folder[path=…], resized and cropped to squares; sub-folders name classes",
    )
