"""The deep autoencoder (Hinton & Salakhutdinov 2006, Science 313)."""

from __future__ import annotations

from genbench_ae.autoencoder import Autoencoder, AutoencoderConfig


class AE(Autoencoder):
    """z = f(x) and x' = g(z) of least error, with nothing but the size of the code in the way of the identity."""

    class Config(AutoencoderConfig):
        """Options of `ae`."""

    config: Config
