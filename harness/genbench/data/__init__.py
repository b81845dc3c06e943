"""What a dataset author imports; torch-free (batches on a device live in `genbench.data.device`)."""

from genbench.data.cache import cache_folder
from genbench.data.dataset import SPLITS, Dataset, DatasetSource, Split
from genbench.data.spec import DataSpec
from genbench.data.views import ViewOptions, apply_view
from genbench.options import FilePath, Options

__all__ = [
    "SPLITS",
    "DataSpec",
    "Dataset",
    "DatasetSource",
    "FilePath",
    "Options",
    "Split",
    "ViewOptions",
    "apply_view",
    "cache_folder",
]
