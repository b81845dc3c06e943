"""Loading a plugin's dataset under guard: whatever the plugin does wrong becomes one line that names the dataset."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

from genbench.data.cache import cache_folder
from genbench.data.dataset import Dataset, DatasetSource
from genbench.data.views import ViewOptions, apply_view
from genbench.errors import GenbenchError, UsageError, printable
from genbench.options import Options
from genbench.plain import error_text


def load(name: str, cls: type[DatasetSource], config: Options, view: ViewOptions) -> Dataset:
    """The dataset of a source under its view.

    Args:
        name: what messages call the dataset.
        cls: the source.
        config: the source's own options.
        view: how the dataset is presented.

    Raises:
        UsageError: the dataset says so of what was asked for, or has nothing for this view.
        GenbenchError: the dataset can't be had, or is none.
    """
    try:
        source = cls(config, cache_folder())
        dataset: Any = source.load()
        if not isinstance(dataset, Dataset):
            raise GenbenchError(f"load returns a {type(dataset).__name__}; it should return a genbench.data.Dataset")
    except UsageError as error:
        named = str(error).startswith(f"{name.partition('[')[0]}: ")
        raise UsageError(str(error) if named else f"dataset '{name}': {error}") from error
    except GenbenchError as error:
        raise GenbenchError(f"dataset '{name}': {error}") from error
    except (Exception, SystemExit) as error:
        raise GenbenchError(f"dataset '{name}': {in_words(error, cls)}") from error
    return apply_view(dataset, view)


def in_words(error: BaseException, cls: type) -> str:
    """An exception on one line, with the last line of the file of `cls` that it came through."""
    said = error_text(error)
    try:
        file = inspect.getfile(cls)
    except (TypeError, OSError):
        return said
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{said} (line {lines[-1]} of {printable(file)})" if lines else said
