"""One run with scores, and a cache of the tests' own."""

import pytest
from support.scored import tiny

from jaxgan.evaluation import reference as reference_module
from jaxgan.evaluation import scorer as scorer_module
from jaxgan.training.loop import train


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own, and small blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(reference_module, "BLOCK", 16)
        patch.setattr(scorer_module, "PASSES", 3)
        yield


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(tiny(), workdir)
