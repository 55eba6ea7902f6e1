"""What a machine without accelerators can say about them: the step lowers for each, in the form meant for it."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from jaxgan.config.config import Config
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.nn.spectral_norm import SPECTRAL_STATS
from jaxgan.steps import train_step
from jaxgan.steps.gan import build, init, make_hyper
from jaxgan.steps.randomness import seed_keys

BATCH = 16
# With as many channels as the forms meant for a CPU ask for.
GAMES = {
    "dcgan": {"model": {"base_features": 32, "d_spectral_norm": True, "d_batch_norm": True}},
    "dcgan, r1": {"model": {"base_features": 32, "d_spectral_norm": True}, "regularizers": {"r1": 1.0}},
    "resnet": {"data": {"image_size": 32}, "model": {"architecture": "sngan_resnet", "base_features": 32}},
    "mlp": {
        "data": {"name": "digits", "image_size": 8},
        "model": {"architecture": "mlp", "z_dim": 3, "base_features": 8},
    },
}


def game(name: str):
    """The step, its abstract arguments, and its real ones made when called for."""
    c = Config.from_dict({**GAMES[name], "train": {"batch_size": BATCH}})
    shape = (c.data.image_size, c.data.image_size, 1)
    gan = build(c, shape, AXIS)

    def arguments():
        batch = {"image": jnp.zeros((1, BATCH, *shape)), "label": jnp.zeros((1, BATCH), jnp.int32)}
        return init(gan, seed_keys(0).init), batch, seed_keys(0).train, make_hyper(c)

    return partial(train_step, gan), jax.eval_shape(arguments), arguments


def exported(name: str, platform: str) -> str:
    """The text of the program for four devices, nothing being compiled."""
    step, abstract, _ = game(name)
    return export.export(Devices().shard_map(step), platforms=[platform])(*abstract).mlir_module()


def counts(module: str) -> dict[str, int]:
    operations = ("convolution", "dot_general", "while", "custom_call")
    return {name: len(re.findall(rf"\bstablehlo\.{name}\b", module)) for name in operations}


def stock_conv(x, kernel, stride=1):
    padding = [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def stock_conv_transpose(x, kernel, stride=1):
    y = jax.ShapeDtypeStruct((len(x), stride * x.shape[1], stride * x.shape[2], kernel.shape[2]), x.dtype)
    return jax.linear_transpose(lambda y: stock_conv(y, kernel, stride), y)(x)[0]


def stock_conv_pool(x, kernel):
    y = stock_conv(x, kernel)
    return y.reshape(len(y), y.shape[1] // 2, 2, y.shape[2] // 2, 2, -1).mean((2, 4))


def stock_upsample_conv(x, kernel):
    return stock_conv(x.repeat(2, axis=1).repeat(2, axis=2), kernel)


STOCK = {
    "conv": stock_conv,
    "conv_transpose": stock_conv_transpose,
    "conv_pool": stock_conv_pool,
    "upsample_conv": stock_upsample_conv,
}


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", GAMES)
def test_export_holds_collectives_donation_and_the_stock_operations_only(name, platform, monkeypatch):
    module = exported(name, platform)
    found = counts(module)
    state = game(name)[1][0]
    assert "stablehlo.all_reduce" in module
    # Of every leaf of the state and nothing else.
    assert len(re.findall(r"jax\.buffer_donor = true|tf\.aliasing_output", module)) == len(jax.tree.leaves(state))
    # One for the power iteration of each layer; formulations meant for a CPU loop, too.
    layers = jax.tree.leaves(state.discriminator.stats[SPECTRAL_STATS], is_leaf=lambda x: "u" in x)
    assert found["while"] == len(layers) > 0
    if name != "mlp":  # what is looked for would be seen, were it there
        on_cpu = counts(exported(name, "cpu"))
        assert on_cpu["dot_general"] > found["dot_general"] and on_cpu["convolution"] < found["convolution"]
    for function, stock in STOCK.items():
        monkeypatch.setattr(f"jaxgan.nn.layers.{function}", stock)
    assert found == counts(exported(name, platform))
    assert (found["convolution"] > 0) == (name != "mlp")


def test_export_survives_serialization_and_runs():
    """The leaves in flat lists, because the format knows no trees of optax's and ours."""
    pytest.importorskip("flatbuffers")
    step, abstract, arguments = game("mlp")
    devices = Devices()
    structure, mapped = jax.tree.structure(abstract), devices.shard_map(step)

    def flat(state, rest):
        return jax.tree.leaves(mapped(*jax.tree.unflatten(structure, [*state, *rest])))

    size = len(jax.tree.leaves(abstract[0]))
    leaves = jax.tree.leaves(abstract)
    program = export.export(jax.jit(flat, donate_argnums=0), platforms=["tpu", "cpu"])(leaves[:size], leaves[size:])
    again = export.deserialize(program.serialize())
    assert (again.platforms, again.nr_devices, again.in_avals) == (("tpu", "cpu"), 4, program.in_avals)
    assert again.mlir_module() == program.mlir_module()

    values = jax.tree.leaves(devices.replicate(arguments))
    result = jax.device_get(jax.jit(again.call)(values[:size], values[size:]))
    expected = mapped(*devices.replicate(arguments))
    jax.tree.map(np.testing.assert_array_equal, result, jax.tree.leaves(expected))
