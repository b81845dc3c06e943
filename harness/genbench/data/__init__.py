"""What a dataset author imports; torch-free (batches on a device live in `genbench.data.device`)."""

from genbench.data.dataset import SPLITS, Dataset, DatasetSource, Split
from genbench.data.spec import DataSpec
from genbench.options import Options

__all__ = ["SPLITS", "DataSpec", "Dataset", "DatasetSource", "Options", "Split"]
