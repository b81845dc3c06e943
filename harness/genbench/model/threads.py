"""A bound on the threads of numpy, scipy and scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread while this is entered, or in the function that it decorates: numpy, scipy and scikit-learn.

    Their thread pools know nothing of the run's share of the cores. A fit of a few thousand points is many small
    products, and more threads wait for one another longer than they compute: on 2 busy cores a linear probe on codes of
    784 dimensions took 89 s with two threads and 10 s with one. Their threads also go on spinning when they have
    finished, and so take cores from training. Nor do numbers then depend on how many threads there are.
    """
    with threadpool_limits(1):
        yield
