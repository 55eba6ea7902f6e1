import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from jaxgan.steps.state import AveragedNet, NetState, ema_update


def net(value, u=1.0):
    stats = {"batch_stats": {"mean": jnp.float32([value])}, "spectral_stats": {"u": jnp.float32([u])}}
    return NetState({"w": jnp.float32([value])}, stats, ())


def averaged(n: NetState) -> AveragedNet:
    return AveragedNet(n.params, n.stats)


def test_ema_warms_up_then_keeps_its_decay():
    for step, decay in ((0, 0.1), (8, 0.5), (10**6, 0.75)):
        ema = ema_update(averaged(net(0.0)), net(1.0), jnp.int32(step), jnp.float32(0.75))
        assert_allclose(ema.params["w"], [1 - decay], rtol=1e-6)


def test_ema_averages_batch_statistics_like_parameters():
    ema = ema_update(averaged(net(0.0)), net(1.0), jnp.int32(10**6), jnp.float32(0.75))
    assert_allclose(ema.stats["batch_stats"]["mean"], [0.25], rtol=1e-6)


def test_ema_copies_other_collections():
    ema = ema_update(averaged(net(0.0, u=1.0)), net(1.0, u=-1.0), jnp.int32(5), jnp.float32(0.999))
    np.testing.assert_array_equal(ema.stats["spectral_stats"]["u"], [-1.0])


def test_ema_without_decay_is_the_network():
    ema = ema_update(averaged(net(3.0)), net(1.5), jnp.int32(100), jnp.float32(0))
    np.testing.assert_array_equal(ema.params["w"], [1.5])
