"""What is particular to `r3gan`; the contract of all architectures is in test_architectures.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.architectures.r3gan import Block, Discriminator, Generator
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.steps.gan import build, init

OFF = {"g_batch_norm": False, "d_spectral_norm": False}


def state(size, **model):
    model = {"architecture": "r3gan", "base_features": 2, "z_dim": 64, **OFF, **model}
    gan = build(Config.from_dict({"data": {"image_size": 0}, "model": model}), (size, size, 3))
    return jax.eval_shape(partial(init, gan), jax.random.key(0))


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters_are_as_many_as_the_paper_says():
    """Table 2, last row, FFHQ-256: 23.058M in the generator and 23.010M in the discriminator."""
    s = state(256, base_features=96)
    assert round(count(s.generator.params) / 1e6, 3) == 23.058
    assert round(count(s.discriminator.params) / 1e6, 3) == 23.010


def test_networks_for_cifar_have_about_as_many_parameters_as_the_paper_says():
    """Section 4.5: 40 M in both together; the paper's program for it, conditional, comes to 42.1 M by our count."""
    s = state(32, base_features=768)
    assert 39e6 < count((s.generator.params, s.discriminator.params)) < 42e6


def test_networks_for_64_pixels_are_those_for_256_without_the_two_largest_sizes():
    """Section 4.4."""
    small, large = state(64, base_features=8), state(256)
    for net, offset in (("generator", 0), ("discriminator", 4)):  # D begins with the largest maps
        s, d = (getattr(x, net).params for x in (small, large))
        assert [s[f"Block_{i}"] for i in range(10)] == [d[f"Block_{i + offset}"] for i in range(10)]


def explicit(params, x):
    """The block with the grouped convolution as one matrix product per group and pixel under the kernel."""

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    h = leaky(x @ params["Conv_0"]["kernel"][0, 0] + params["Conv_0"]["bias"])
    kernel = params["Conv_1"]["kernel"]
    padded = np.pad(h, ((0, 0), (1, 1), (1, 1), (0, 0)))
    wide = np.zeros_like(h)
    for group in range(h.shape[-1] // 16):
        own = slice(16 * group, 16 * group + 16)
        for i in range(3):
            for j in range(3):
                wide[..., own] += padded[:, i : i + x.shape[1], j : j + x.shape[2], own] @ kernel[i, j, :, own]
    return x + leaky(wide + params["Conv_1"]["bias"]) @ params["Conv_2"]["kernel"][0, 0]


def test_block_equals_the_explicit_one():
    rng = np.random.RandomState(0)
    x = rng.randn(2, 3, 4, 16).astype(np.float32)
    like = jax.eval_shape(partial(Block(8).init, train=True), jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda p: rng.randn(*p.shape).astype(np.float32), like)
    assert params["Conv_1"]["kernel"].shape == (3, 3, 16, 32) and "bias" not in params["Conv_2"]
    got = jax.jit(lambda p: Block(8).apply({"params": p}, x, train=True))(params)
    assert_allclose(got, explicit(params, x), rtol=1e-4, atol=1e-3)


def test_block_starts_as_the_identity_with_scaled_weights():
    x = np.random.RandomState(0).randn(1, 2, 2, 64).astype(np.float32)
    y, variables = jax.jit(partial(Block(16).init_with_output, train=True))(jax.random.key(0), x)
    assert_array_equal(y, x)
    gain = (2 / 1.04) ** 0.5 * 16**-0.25
    for name, fan_in in (("Conv_0", 64), ("Conv_1", 9 * 16)):
        assert_allclose(variables["params"][name]["kernel"].std(), gain * fan_in**-0.5, rtol=0.03)


def test_projection_starts_at_a_scale_that_does_not_grow_with_the_width():
    """Of K classes and F features, each entry of the embedding has the variance 1 / K F."""
    d = Discriminator(16, (1, 1, 1, 1), num_classes=500, conditioning="projection")
    x = np.zeros((1, 32, 32, 1), np.float32)
    variables = jax.jit(partial(d.init, train=True))(jax.random.key(0), x, np.zeros(1, np.int32))
    assert_allclose(variables["params"]["projection"]["kernel"].std(), (500 * 16) ** -0.5, rtol=0.03)


@pytest.mark.slow
def test_class_embedding_of_the_generator_starts_with_the_variance_of_one_over_the_number_of_classes(key):
    """As the authors' linear layer on one-hot labels does."""
    g = Generator((32, 32, 1), 2, num_classes=10, conditioning="concat", embedding_dim=2000)
    variables = jax.jit(partial(g.init, train=True))(key, np.zeros((1, 4), np.float32), np.zeros(1, np.int32))
    assert_allclose(variables["params"]["embedding"]["kernel"].var(), 1 / 10, rtol=0.05)


def test_discriminator_reads_weighted_sums_of_its_last_maps():
    d = Discriminator(2, (1, 1, 1, 1))
    x = np.random.RandomState(0).randn(2, 32, 32, 1).astype(np.float32)
    rng = np.random.RandomState(1)
    like = jax.eval_shape(partial(d.init, train=True), jax.random.key(0), x)
    variables = jax.tree.map(lambda p: rng.randn(*p.shape).astype(np.float32) / 4, like)
    features = jax.jit(lambda v: d.apply(v, x, train=True).features)
    once, twice = (
        features(variables),
        features({"params": {**variables["params"], "basis": 2 * variables["params"]["basis"]}}),
    )
    assert once.shape == (2, 2)
    assert_allclose(twice, 2 * once, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "model", "message"),
    [
        (48, {}, r"cannot make examples of shape 48x48x3: data.image_size must be one of 32, 64, 256,"),
        (
            32,
            {"channel_multipliers": [1, 2]},
            r"channel_multipliers has 2 entries, .* maps of 4 sizes: give 4, or none",
        ),
        (32, {"d_kernel_sizes": [5]}, r"d_kernel_sizes is \(5,\), .* 3x3"),
        (
            32,
            {"d_spectral_norm": True},
            r"model.d_spectral_norm is True, but r3gan has no such layers: set it to False",
        ),
        (32, {"g_batch_norm": True}, r"model.g_batch_norm is True, but r3gan has no such layers"),
    ],
)
def test_what_it_does_not_provide_for_is_refused(size, model, message):
    with pytest.raises(UserError, match=message):
        state(size, **model)


@pytest.mark.slow
def test_widths_are_chosen_per_size():
    params = state(32, channel_multipliers=[1, 2, 2, 3]).discriminator.params
    assert params["basis"].shape == (4, 4, 6)
    assert jnp.shape(params["Conv_0"]["kernel"]) == (1, 1, 3, 2)
