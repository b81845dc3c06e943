"""Every proof that is shipped with the program, as `genbench selftest` carries it out."""

import pytest

from genbench.plugins.catalogue import Catalogue
from genbench.selftest.prove import prove

SELFTESTS = {name: offer.entry for name, offer in Catalogue.find().selftests.items()}


@pytest.mark.parametrize("name", SELFTESTS)
def test_every_estimator_is_right(name):
    outcomes = prove(SELFTESTS[name])
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    estimators = [outcome.check.estimator for outcome in outcomes]
    assert len(set(estimators)) == len(estimators)
