"""The techniques on one device and on four: the same run."""

import jax
import jax.numpy as jnp
import pytest
from numpy.testing import assert_allclose
from support.games import run, small

# All that goes together, so that two compilations test it; one that fails is found by leaving out the others.
TOGETHER = {
    "train__batch_size": 16,
    "model__minibatch_stddev": 2,
    "model__g_conditioning": "batch_norm",
    "model__d_conditioning": "auxiliary",
    "infogan__categorical": (3,),
    "infogan__continuous": 1,
    "infogan__reconstruct_z": True,
    "targets__soft_real": 0.2,
    "targets__noisy_fake": 0.3,
    "targets__instance_noise": 0.1,
    "targets__instance_noise_steps": 10,
    "augment__policy": ("translation", "cutout"),
    "augment__ada": True,
    "augment__p": 0.5,
    "regularizers__lecam": 0.3,
    "regularizers__feature_matching": 0.5,
    "regularizers__dragan": 1.0,
}
# Packing excludes classes and codes, parts of a batch exclude what couples it.
PACKED = {
    "train__batch_size": 16,
    "train__accumulate": 2,
    "model__packing": 2,
    "model__g_batch_norm": False,
    "targets__noisy_real": 0.3,
    "regularizers__wgan_gp": 1.0,
}


IN_PARTS = {"train__batch_size": 16, "train__accumulate": 2, "model__g_batch_norm": True, "regularizers__r1": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("options", [TOGETHER, PACKED, IN_PARTS], ids=["together", "packed", "in parts"])
def test_techniques_on_one_and_four_devices_give_the_same_run(options, float64):
    """In float64, where rounding (1e-16, grown by Adam's division) hides nothing: a mean or a draw of the wrong
    examples would show at 1e-2."""
    (one, m1), (four, m4) = (run(small(**options), n, steps=3, widen=True) for n in (1, 4))
    assert one.generator.params["Dense_0"]["kernel"].dtype == jnp.float64
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-8, atol=1e-10), one, four)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-8), m1, m4)
