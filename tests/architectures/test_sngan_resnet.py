"""What is particular to the residual networks; the contract of all architectures is in test_architectures.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.nn.blocks import Block
from jaxgan.steps.gan import build, init


def small(shape=(32, 32, 3), **model):
    model = {"architecture": "sngan_resnet", "base_features": 2, **model}
    return build(Config.from_dict({"data": {"image_size": 0}, "model": model}), shape)


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(("b", "c"), [(3, 1), (128, 3)])
def test_parameters_are_as_many_as_the_papers_table_says(b, c):
    state = jax.eval_shape(partial(init, small((32, 32, c), base_features=b)), jax.random.key(0))
    first = (9 * c * b + b) + (9 * b * b + b) + (c * b + b)
    halving = 2 * (9 * b * b + b) + (b * b + b)
    keeping = 2 * (9 * b * b + b)
    assert count(state.discriminator.params) == first + halving + 2 * keeping + (b + 1)
    w = 2 * b
    doubling = 2 * 9 * w * w + w * w + 2 * 2 * w  # batch norm has a scale and a bias, the convolutions none
    dense = 128 * 16 * w + 16 * w
    assert count(state.generator.params) == dense + 3 * doubling + 2 * w + (9 * w * c + c)


# Output channels by base_features: tables 5 and 6 of the paper, and of its authors' program for 64 pixels.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "dense", "generator", "discriminator"),
    [
        (28, 7 * 7 * 2, [2, 2], [1, 1, 1, 1]),
        (48, 6 * 6 * 8, [4, 2, 1], [1, 2, 4, 8, 16]),
        (64, 4 * 4 * 16, [8, 4, 2, 1], [1, 2, 4, 8, 16]),
        (128, 4 * 4 * 16, [16, 8, 4, 2, 1], [1, 2, 4, 8, 16, 16]),
    ],
)
def test_widths_are_those_of_the_tables(size, dense, generator, discriminator):
    state = jax.eval_shape(partial(init, small((size, size, 3), base_features=1)), jax.random.key(0))
    g, d = state.generator.params, state.discriminator.params
    assert g["Dense_0"]["kernel"].shape == (128, dense)
    assert [g[f"Block_{i}"]["Conv_1"]["kernel"].shape[3] for i in range(len(generator))] == generator
    assert [d[f"Block_{i}"]["Conv_1"]["kernel"].shape[3] for i in range(len(discriminator))] == discriminator
    assert f"Block_{len(generator)}" not in g and f"Block_{len(discriminator)}" not in d
    # Between its convolutions a block of the discriminator is as wide as its input, but the first as its output.
    between = [d[f"Block_{i}"]["Conv_0"]["kernel"].shape[3] for i in range(len(discriminator))]
    assert between == [1, *discriminator[:-1]]


def test_every_discriminator_layer_is_spectrally_normalized():
    d = jax.eval_shape(partial(init, small()), jax.random.key(0)).discriminator
    kernels = [path for path, _ in jax.tree_util.tree_leaves_with_path(d.params) if "kernel" in str(path)]
    assert len(kernels) == 2 * 4 + 2 + 1
    assert len(jax.tree.leaves(d.stats["spectral_stats"])) == 2 * len(kernels)


def test_batch_norm_of_the_discriminator_spares_the_block_that_sees_the_image():
    d = jax.eval_shape(partial(init, small(d_batch_norm=True)), jax.random.key(0)).discriminator
    norms = {name: sum("BatchNorm" in key for key in d.params[name]) for name in d.params if name.startswith("Block")}
    assert norms == {"Block_0": 0, "Block_1": 2, "Block_2": 2, "Block_3": 2} and "BatchNorm_0" in d.params
    biases = [path for path, _ in jax.tree_util.tree_leaves_with_path(d.params) if "Conv" in str(path[-2])]
    assert sum("bias" in str(path) for path in biases) == 1  # before the only convolution that no batch norm follows


def explicit(params, x, *, resample, sees_image):
    """The block as the paper draws it, without batch norm, resampling in the open."""

    def conv(x, layer):
        y = lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y + layer["bias"].reshape(1, 1, 1, -1)

    def up(x):
        return x.repeat(2, 1).repeat(2, 2) if resample == "up" else x

    def down(x):
        b, h, w, c = x.shape
        return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4)) if resample == "down" else x

    relu = jax.nn.relu
    h = conv(up(x if sees_image else relu(x)), params["Conv_0"])
    h = down(conv(relu(h), params["Conv_1"]))
    return h + (down(conv(up(x), params["shortcut"])) if "shortcut" in params else x)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("resample", "sees_image"), [("up", False), ("down", False), ("down", True), (None, False)])
def test_block_equals_the_explicit_one(resample, sees_image, key):
    x = jax.random.normal(key, (2, 6, 8, 3))
    block = Block(3, resample, sees_image)
    params = jax.jit(partial(block.init, train=True))(key, x)["params"]
    params = jax.tree.map(lambda p: p.astype(float) + 0.1, params)  # biases too
    assert ("shortcut" in params) == (resample is not None)
    got = jax.jit(lambda p: block.apply({"params": p}, x, train=True))(params)
    np.testing.assert_allclose(got, explicit(params, x, resample=resample, sees_image=sees_image), rtol=1e-12)


@pytest.mark.slow
def test_initialization_is_that_of_the_authors_program(key):
    d = jax.jit(partial(init, small(base_features=32)))(key).discriminator.params
    block = d["Block_1"]
    for kernel, fans, gain in [
        (block["Conv_0"]["kernel"], 2 * 9 * 32, 2**0.5),
        (block["shortcut"]["kernel"], 2 * 32, 1),
        (d["Dense_0"]["kernel"], 33, 1),
    ]:
        bound = gain * (6 / fans) ** 0.5
        assert 0.8 * bound < jnp.abs(kernel).max() <= bound


@pytest.mark.parametrize(
    ("shape", "model", "message"),
    [
        (
            (30, 30, 1),
            {},
            r"cannot make examples of shape 30x30x1: data.image_size must be one of 28, 32, 48, 64, 128,",
        ),
        ((2,), {}, r"cannot make examples of shape 2:"),
        ((32, 32, 3), {"channel_multipliers": [1, 2]}, r"channel_multipliers is \(1, 2\), .* leave it empty"),
        ((32, 32, 3), {"g_kernel_sizes": [5]}, r"g_kernel_sizes is \(5,\), .* 3x3"),
        ((32, 32, 3), {"d_kernel_sizes": [3, 3]}, r"d_kernel_sizes is \(3, 3\), .* 3x3"),
    ],
)
def test_what_the_layouts_do_not_provide_for_is_refused(shape, model, message):
    with pytest.raises(UserError, match=message):
        small(shape, **model)
