import json
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.architectures import ARCHITECTURES
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.steps.gan import build, init

SHAPES = {
    "biggan": [(s, s, c) for s, c in ((32, 1), (64, 3), (128, 3))],
    "dcgan": [(s, s, c) for s in (28, 32, 64, 128) for c in (1, 2, 3, 5)],
    "mlp": [(8, 8, 1), (2,), (5, 7, 3)],
    "r3gan": [(s, s, c) for s, c in ((32, 1), (64, 3))],
    "sagan": [(s, s, c) for s, c in ((32, 1), (64, 3), (128, 3))],
    "sngan_resnet": [(32, 32, 1), (28, 28, 1), (32, 32, 5), (48, 48, 3), (64, 64, 3), (128, 128, 3)],
}
CASES = [(name, shape) for name in ARCHITECTURES for shape in SHAPES[name]]


def small(name, **model):
    model = {"architecture": name, "base_features": 2, **dict.fromkeys(ARCHITECTURES[name].lacks, False), **model}
    return Config.from_dict({"data": {"image_size": 0}, "model": model})


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_architecture_makes_and_judges_its_shapes(name, shape, dtype):
    config = Config.from_dict({**small(name).to_dict(), "train": {"dtype": dtype}})
    gan = build(config, shape)
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    z = jax.ShapeDtypeStruct((3, gan.z_dim), jnp.float32)
    images = jax.eval_shape(partial(gan.generator.apply, train=False), state.generator.variables, z)
    assert images.shape == (3, *shape) and images.dtype == jnp.float32
    out = jax.eval_shape(partial(gan.discriminator.apply, train=False), state.discriminator.variables, images)
    assert out.logits.shape == (3,) and out.features.shape[0] == 3
    assert {x.dtype for x in jax.tree.leaves((out, state.generator.params, state.discriminator.params))} == {
        jnp.dtype("float32")
    }


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_dcgan_takes_kernels_per_layer(kernel):
    gan = build(small("dcgan", g_kernel_sizes=[3, 5, kernel], d_kernel_sizes=[kernel, 5, 4]), (32, 32, 3))
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    g, d = state.generator.params, state.discriminator.params
    assert [g[f"ConvTranspose_{i}"]["kernel"].shape[0] for i in range(3)] == [3, 5, kernel]
    assert [d[f"Conv_{i}"]["kernel"].shape[0] for i in range(3)] == [kernel, 5, 4]


def test_dcgan_takes_widths_per_layer():
    gan = build(small("dcgan", channel_multipliers=[1, 1, 3]), (32, 32, 3))
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    assert [state.discriminator.params[f"Conv_{i}"]["kernel"].shape[-1] for i in range(3)] == [2, 2, 6]
    assert [state.generator.params[f"ConvTranspose_{i}"]["kernel"].shape[2] for i in range(3)] == [2, 2, 3]


def test_dcgan_has_batch_norm_where_the_paper_puts_it():
    gan = build(small("dcgan", d_batch_norm=True), (32, 32, 3))
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    assert sum(name.startswith("BatchNorm") for name in state.generator.params) == 3  # all but the output layer
    assert sum(name.startswith("BatchNorm") for name in state.discriminator.params) == 2  # all but the input layer
    assert "bias" in state.generator.params["ConvTranspose_2"] and "bias" not in state.generator.params["Dense_0"]
    assert "bias" in state.discriminator.params["Conv_0"] and "bias" not in state.discriminator.params["Conv_1"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_switches_normalization_off(name):
    gan = build(small(name, g_batch_norm=False, d_spectral_norm=False), SHAPES[name][0])
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    assert state.generator.stats == {} and state.discriminator.stats == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_discriminator_differentiates_twice(name):
    """As penalties on its gradient need."""
    gan = build(small(name, minibatch_stddev=2), SHAPES[name][0])
    variables = jax.eval_shape(partial(init, gan), jax.random.key(0)).discriminator.variables

    def penalty(params, x):
        def logits(x):
            return gan.discriminator.apply({**variables, "params": params}, x, train=False).logits.sum()

        return (jax.grad(logits)(x) ** 2).sum()

    variables = jax.tree.map(lambda p: np.zeros(p.shape, p.dtype), variables)
    x = jax.ShapeDtypeStruct((2, *gan.shape), jnp.float32)
    gradient = jax.eval_shape(jax.grad(penalty), variables["params"], x)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, variables["params"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if "g_spectral_norm" not in ARCHITECTURES[name].lacks])
def test_every_layer_of_the_generator_is_spectrally_normalized_on_request(name):
    generator = jax.eval_shape(
        partial(init, build(small(name, g_spectral_norm=True), SHAPES[name][0])), jax.random.key(0)
    ).generator
    kernels = [path for path, _ in jax.tree_util.tree_leaves_with_path(generator.params) if path[-1].key == "kernel"]
    assert len(jax.tree.leaves(generator.stats["spectral_stats"])) == 2 * len(kernels)


@pytest.mark.slow
@pytest.mark.parametrize(("output", "low", "high"), [("tanh", -1, 1), ("sigmoid", 0, 1)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_generator_keeps_its_output_range(name, output, low, high):
    gan = build(small(name, output=output, g_batch_norm=False, base_features=16), SHAPES[name][0])
    like = jax.eval_shape(partial(init, gan), jax.random.key(0)).generator.variables
    rng = np.random.RandomState(0)
    variables = jax.tree.map(lambda p: np.float32(rng.randn(*p.shape)), like)
    images = np.asarray(jax.jit(partial(gan.generator.apply, train=False))(variables, 10 * jnp.ones((4, gan.z_dim))))
    assert images.min() >= low and images.max() <= high
    assert images.max() - images.min() > 0.9 * (high - low)


@pytest.mark.parametrize("shape", [(30, 30, 1), (28, 30, 1), (2,), (16, 16, 3)])
def test_dcgan_refuses_other_shapes(shape):
    with pytest.raises(UserError, match=r"cannot make examples of shape .*28, 32, 64, 128"):
        build(small("dcgan"), shape)


def test_build_refuses_unbounded_images():
    with pytest.raises(UserError, match=r"model.output 'linear' is for points"):
        build(small("mlp", output="linear"), (8, 8, 1))


def test_dcgan_parameters_start_as_the_paper_says(key):
    gan = build(Config.from_dict({"model": {"base_features": 16}}), (28, 28, 1))
    kernel = np.asarray(jax.jit(partial(init, gan))(key).generator.params["Dense_0"]["kernel"])
    np.testing.assert_allclose(kernel.std(), 0.02, rtol=0.02)
    np.testing.assert_allclose(kernel.mean(), 0, atol=1e-3)


GOLDEN = {name: (32, 32, 3) for name in ARCHITECTURES} | {"mlp": (8, 8, 1)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_parameter_tree_is_the_recorded_one(name, root):
    """A checkpoint written today must load tomorrow. If a change is meant, set UPDATE_GOLDEN=1 once."""
    state = jax.eval_shape(partial(init, build(small(name), GOLDEN[name])), jax.random.key(0))
    nets = {"generator": state.generator.variables, "discriminator": state.discriminator.variables}
    found = {jax.tree_util.keystr(p): list(x.shape) for p, x in jax.tree_util.tree_leaves_with_path(nets)}
    if os.environ.get("UPDATE_GOLDEN"):
        (root / "tests" / "golden" / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads((root / "tests" / "golden" / f"{name}.json").read_text())
