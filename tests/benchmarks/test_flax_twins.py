"""Networks of stock Flax layers compute what ours do from the same weights."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.testing import assert_allclose

from benchmarks.games import GAMES, SHAPES, config_of
from benchmarks.speed.flax_twins import twins
from jaxgan.config.config import Config
from jaxgan.steps import d_step, g_step
from jaxgan.steps.gan import build, init, make_hyper


def renamed(path):
    """The path of one of our layers, or of its variable, in the stock network."""
    if path[-2] == "BatchNorm_0" and path[-3].startswith("BatchNorm"):
        path = (*path[:-2], path[-1])  # ours is Flax's with a wrapper
    return tuple("Conv_2" if name == "shortcut" else re.sub("^Block", "ResNetBlock", name) for name in path)


def stock(variables):
    """Parameters and batch statistics of ours as the stock network has them."""
    found = {}
    for path, leaf in flatten_dict(variables).items():
        if path[-2].startswith("ConvTranspose") and path[-1] == "kernel":
            leaf = leaf[::-1, ::-1].swapaxes(2, 3)
        found[renamed(path)] = leaf
    return unflatten_dict(found)


def any_values(shapes):
    """As after training: all different, scales and variances positive."""
    rng = np.random.default_rng(0)

    def one(path, x):
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1.5, x.shape).astype(x.dtype)
        return 0.2 * rng.standard_normal(x.shape).astype(x.dtype)

    return jax.tree_util.tree_map_with_path(one, shapes)


def with_singular_vectors(ours, theirs):
    """Variables of both with the exact ones of our kernels: the stock layer iterates once more when it is used."""
    ours, theirs = flatten_dict(ours), flatten_dict(theirs)
    for path in [path[1:-2] for path in ours if path[-1] == "u"]:
        kernel = np.asarray(ours[("params", *path, "kernel")])
        v, _, u = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), full_matrices=False)
        ours |= {("spectral_stats", *path, "SpectralNorm_0", name): x for name, x in (("u", u[0]), ("v", v[:, 0]))}
        *block, layer, _ = renamed((*path, "kernel"))
        (place,) = [p for p in theirs if p[1:-2] == tuple(block) and p[-1] == f"{layer}/kernel/u"]
        theirs[place] = u[:1]
    return unflatten_dict(ours), unflatten_dict(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_stock_layers_make_the_same_networks(game, key):
    values = config_of(game).to_dict()
    values["model"]["base_features"] = 4
    config, shape = Config.from_dict(values), SHAPES[game]
    generator, discriminator = twins(config, shape)
    gan, twin = build(config, shape), build(config, shape, None, generator, discriminator)
    state, other = (jax.eval_shape(partial(init, each), key) for each in (gan, twin))

    ours = any_values(state.generator.variables)
    theirs = stock(ours)
    assert jax.tree.map(jnp.shape, theirs) == jax.tree.map(jnp.shape, other.generator.variables)
    z = jax.random.normal(key, (2, gan.z_dim))
    for train in (False, True):
        images, found = (
            jax.jit(partial(each.generator.apply, train=train, mutable=["batch_stats"]))(variables, z)
            for each, variables in ((gan, ours), (twin, theirs))
        )
        assert_allclose(found[0], images[0], rtol=1e-4, atol=1e-5)
        jax.tree.map(partial(assert_allclose, rtol=1e-4, atol=1e-5), found[1], stock(images[1]) if images[1] else {})

    ours = any_values(state.discriminator.variables)
    theirs = stock({"params": ours["params"]}) | any_values(other.discriminator.stats)
    assert jax.tree.map(jnp.shape, theirs) == jax.tree.map(jnp.shape, other.discriminator.variables)
    ours, theirs = with_singular_vectors(ours, theirs)
    x = jax.random.normal(key, (2, *shape))
    logits = jax.jit(partial(gan.discriminator.apply, train=False))(ours, x).logits
    found = jax.jit(partial(twin.discriminator.apply, train=False))(theirs, x)
    assert_allclose(found[:, 0], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_stock_spectral_norm_moves_in_the_discriminator_step_only(key):
    values = config_of("dcgan28").to_dict()
    values["model"]["base_features"] = 2
    config, shape = Config.from_dict(values), SHAPES["dcgan28"]
    gan = build(config, shape, None, *twins(config, shape))
    state = jax.jit(partial(init, gan))(key)
    batch = {"image": jax.random.normal(key, (2, *shape)), "label": jnp.zeros(2, jnp.int32)}

    def moved(step):
        new = jax.jit(partial(step, gan))(state, batch, key, make_hyper(config))[0].discriminator.stats
        same = jax.tree.map(jnp.array_equal, new, state.discriminator.stats)
        return [not leaf for leaf in jax.tree.leaves(same)]

    assert any(moved(d_step)) and not any(moved(g_step))
