"""The size of an undercomplete code."""

from __future__ import annotations

from genbench.model import DataSpec, UnsupportedData


def check_compressible(data: DataSpec) -> None:
    """Refuse data that no code is smaller than.

    Raises:
        UnsupportedData: the data has one dimension.
    """
    if data.dims < 2:
        raise UnsupportedData("needs data of at least 2 dimensions: a code is smaller than what it stands for")


def undercomplete(data: DataSpec, latent_dim: int | None, default: int) -> int:
    """`latent_dim`, or where it is None the `default`, or one less than the data's dimensions if that is fewer.

    Raises:
        UnsupportedData: the code would be as large as the data.
    """
    if latent_dim is None:
        return min(default, data.dims - 1)
    if latent_dim >= data.dims:
        raise UnsupportedData(f"latent_dim={latent_dim} is no smaller than the data's {data.dims} dimensions")
    return latent_dim
