"""One run with scores, and a cache of the tests' own."""

import pytest
from scored import tiny

from jaxgan import scoring
from jaxgan.train import train


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own, and small blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(scoring, "BLOCK", 16)
        patch.setattr(scoring, "PASSES", 3)
        yield


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(tiny(), workdir)
