"""Everything that the author of a model plugin subclasses or calls. Documented, typed and stable."""

from genbench.data.batch import Batch
from genbench.data.spec import DataSpec
from genbench.errors import UnsupportedData
from genbench.model.base import (
    GradientConfig,
    GradientModel,
    Model,
    ModelConfig,
    adam,
    cosine,
    set_learning_rate,
)
from genbench.model.blocks import ConvDecoder, ConvEncoder, Network, ResidualBlock, autoencoder, he_init, mlp
from genbench.model.capabilities import (
    CAPABILITIES,
    Classifier,
    Conditional,
    Decoder,
    Density,
    Encoder,
    LatentBound,
    Posterior,
    Quantized,
    Reconstructor,
    Sampler,
    Unnormalized,
)
from genbench.model.corruption import Corruption, check_corruption, corrupt
from genbench.model.levels import bin_centres, dequantize, from_logit, log_volume, quantize, snap, to_logit
from genbench.model.observation import (
    Bernoulli,
    DiscretizedGaussian,
    DiscretizedLogistic,
    Gaussian,
    Likelihood,
    Observation,
    observe,
    parameter_channels,
)
from genbench.model.prior import standard_normal

__all__ = [
    "CAPABILITIES",
    "Batch",
    "Bernoulli",
    "Classifier",
    "Conditional",
    "ConvDecoder",
    "ConvEncoder",
    "Corruption",
    "DataSpec",
    "Decoder",
    "Density",
    "DiscretizedGaussian",
    "DiscretizedLogistic",
    "Encoder",
    "Gaussian",
    "GradientConfig",
    "GradientModel",
    "LatentBound",
    "Likelihood",
    "Model",
    "ModelConfig",
    "Network",
    "Observation",
    "Posterior",
    "Quantized",
    "Reconstructor",
    "ResidualBlock",
    "Sampler",
    "Unnormalized",
    "UnsupportedData",
    "adam",
    "autoencoder",
    "bin_centres",
    "check_corruption",
    "corrupt",
    "cosine",
    "dequantize",
    "from_logit",
    "he_init",
    "log_volume",
    "mlp",
    "observe",
    "parameter_channels",
    "quantize",
    "set_learning_rate",
    "snap",
    "standard_normal",
    "to_logit",
]
