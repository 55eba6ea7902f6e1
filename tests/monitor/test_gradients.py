"""What is measured of each layer, against numpy and against the optimizer's own record of the gradient."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support.games import batches, config, first, game, small

from jaxgan.architectures import DOutput
from jaxgan.config.config import Config
from jaxgan.monitor.gradients import Layer, layers_of, sigma_scalars, update_scalars
from jaxgan.steps import d_step, g_step, train_step
from jaxgan.steps.gan import build, init, make_hyper
from jaxgan.steps.randomness import stream

CLASSES = {"model__g_conditioning": "batch_norm", "model__d_conditioning": "projection"}


def names(layers) -> list[str]:
    return [layer.name for layer in layers]


def paths(layers) -> list[str]:
    return [".".join(layer.path) for layer in layers]


# --- which layers there are ------------------------------------------------------------------------------------


def test_layers_are_those_of_the_network_in_the_order_in_which_they_run():
    gan = build(Config(), (28, 28, 1))
    assert paths(gan.layers["g"]) == [
        *("Dense_0", "BatchNorm_0.BatchNorm_0", "ConvTranspose_0", "BatchNorm_1.BatchNorm_0", "ConvTranspose_1")
    ]
    assert names(gan.layers["g"]) == ["bottom", "1_BatchNorm_0", "2_ConvTranspose_0", "3_BatchNorm_1", "top"]
    assert names(gan.layers["d"]) == ["bottom", "1_Conv_1", "top"]
    assert paths(gan.layers["d"]) == ["Conv_0", "Conv_1", "Dense_0"]


def test_layers_of_an_embedding_of_classes_have_names_of_their_own():
    layers = build(config(**CLASSES), (8, 8, 1), num_classes=3).layers
    assert {"1_ConditionalBatchNorm_0.gamma", "2_ConditionalBatchNorm_0.beta"} <= {*names(layers["g"])}
    assert paths(layers["d"])[-1] == "projection"


def test_layers_share_out_every_parameter():
    gan = build(config(**CLASSES), (8, 8, 1), num_classes=3)
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    for layers, net in ((gan.layers["g"], state.generator), (gan.layers["d"], state.discriminator)):
        leaves = [i for layer in layers for i in layer.leaves]
        assert sorted(leaves) == [*range(len(jax.tree.leaves(net.params)))]
        assert len({*names(layers)}) == len(layers)


def test_layers_are_none_where_they_are_not_watched():
    c = small(monitor__layers=False)
    gan = build(c, (8, 8, 1))
    assert gan.layers == {"g": (), "d": ()}
    state = jax.eval_shape(partial(init, gan), jax.random.key(0))
    _, metrics = jax.eval_shape(partial(train_step, gan), state, batches(1), jax.random.key(0), make_hyper(c))
    assert not [name for name in metrics if name.count("/") > 1]
    assert {"grad_norm/g", "grad_norm/d"} <= metrics.keys()


class Backwards(nn.Module):
    """Its layers run in another order than they are made and named in."""

    def setup(self):
        self.a, self.b, self.c = nn.Dense(1), nn.Dense(3), nn.Dense(3)

    def __call__(self, x, *, train):
        return self.a(self.c(self.b(self.c(x))))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(x.shape[-1])(x) + self.param("pair", lambda key: (jnp.ones(1), {"z": jnp.ones(())}))[1]["z"]


class Odd(nn.Module):
    """A parameter of its own, a block that holds a pair, a layer under `remat`, and a stack made by `scan`."""

    @nn.compact
    def __call__(self, x, *, train):
        x = Block()(x * self.param("gain", nn.initializers.ones, ()))
        x = nn.remat(nn.Dense)(4)(x)
        scan = nn.scan(lambda module, x, _: (module(x), None), variable_axes={"params": 0}, split_rngs={"params": True})
        return scan(nn.Dense(4, name="stack"), x, jnp.zeros((3, 1)))[0]


class Bare(nn.Module):
    def __call__(self, x, *, train):
        return -x


def test_layers_of_a_module_with_setup_are_in_the_order_of_its_calls():
    layers = layers_of(Backwards(), jnp.zeros((1, 3)), train=True)
    assert paths(layers) == ["c", "b", "a"] and names(layers) == ["bottom", "1_b", "top"]
    assert layers[0].leaves == (4, 5)  # c's bias and kernel, last by their names


@pytest.mark.slow
def test_layers_of_a_module_of_unusual_structure():
    layers = layers_of(Odd(), jnp.zeros((2, 4)), train=True)
    assert paths(layers) == ["", "Block_0", "Block_0.Dense_0", "CheckpointDense_0", "stack"]
    params = Odd().init(jax.random.key(0), jnp.zeros((2, 4)), train=True)["params"]
    assert sorted(i for layer in layers for i in layer.leaves) == [*range(len(jax.tree.leaves(params)))]
    found = jax.jit(partial(update_scalars, "g", layers))(params, params, jax.tree.map(lambda x: 2 * x, params))
    assert_allclose([found[f"update_ratio/g/{layer.name}"] for layer in layers], 1, rtol=1e-6)


def test_layers_of_a_module_without_parameters_are_none():
    assert layers_of(Bare(), jnp.zeros((1, 3)), train=True) == ()


# --- norms -----------------------------------------------------------------------------------------------------

LAYERS = (Layer("bottom", ("a",), (0, 1)), Layer("top", ("b",), (2,)))


@pytest.mark.slow
def test_update_scalars_are_norms_over_all_parameters_of_a_layer():
    random = np.random.RandomState(0)
    grads, before, move = (
        {"a": {"bias": random.randn(3), "kernel": random.randn(2, 3)}, "b": random.randn(4)} for _ in range(3)
    )
    after = jax.tree.map(np.add, before, move)
    found = update_scalars("d", LAYERS, *jax.tree.map(jnp.float32, (grads, before, after)))

    def norm(tree) -> float:
        return np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(tree)))

    expected = {"grad_norm/d": norm(grads)}
    for name, key in (("bottom", "a"), ("top", "b")):
        expected[f"grad_norm/d/{name}"] = norm(grads[key])
        expected[f"update_ratio/d/{name}"] = norm(move[key]) / norm(before[key])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=1e-5)


def test_update_ratio_of_a_layer_that_starts_at_zero_is_finite():
    zero, one = {"a": jnp.zeros(2), "b": jnp.zeros(3)}, {"a": jnp.ones(2), "b": jnp.zeros(3)}
    layers = (Layer("bottom", ("a",), (0,)), Layer("top", ("b",), (1,)))
    found = update_scalars("g", layers, one, zero, one)
    assert found["update_ratio/g/bottom"] == 1  # it moved
    assert found["update_ratio/g/top"] == 0  # it did not


def assert_as_the_optimizer_saw(metrics, name: str, layers, before, after, b1: float) -> None:
    """Adam's first moment is (1 - b1) g after the first update, whatever the gradient was made of."""
    [moments] = [x.mu for x in jax.tree.leaves(after.opt_state, is_leaf=lambda x: hasattr(x, "mu")) if hasattr(x, "mu")]
    grads, old, new = (jax.tree.leaves(jax.tree.map(np.float64, x)) for x in (moments, before.params, after.params))

    def norm(leaves, numbers) -> float:
        return np.sqrt(sum((leaves[i] ** 2).sum() for i in numbers))

    moves = [b - a for a, b in zip(old, new, strict=True)]
    assert_allclose(metrics[f"grad_norm/{name}"], norm(grads, range(len(grads))) / (1 - b1), rtol=1e-4)
    for layer in layers:
        assert_allclose(metrics[f"grad_norm/{name}/{layer.name}"], norm(grads, layer.leaves) / (1 - b1), rtol=1e-4)
        ratio = norm(moves, layer.leaves) / norm(old, layer.leaves) if norm(old, layer.leaves) else 1
        assert_allclose(metrics[f"update_ratio/{name}/{layer.name}"], ratio, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"train__accumulate": 2, "regularizers__r1": 1.0},
        {"regularizers__clip": 0.01, "model__d_spectral_norm": False, "loss__name": "wasserstein", **CLASSES},
    ],
    ids=["plain", "in parts", "clipped, with classes"],
)
def test_scalars_of_a_step_are_those_of_the_gradient_that_the_optimizer_gets(options):
    c = small(train__batch_size=8, **options)
    gan, state, hyper = game(c)
    new, metrics = jax.jit(partial(train_step, gan))(state, batches(1), jax.random.key(0), hyper)
    assert_as_the_optimizer_saw(metrics, "g", gan.layers["g"], state.generator, new.generator, c.g_optim.b1)
    assert_as_the_optimizer_saw(metrics, "d", gan.layers["d"], state.discriminator, new.discriminator, c.d_optim.b1)


@pytest.mark.slow
def test_scalars_of_a_dcgan_are_those_of_its_gradient_and_its_singular_values(key):
    c = Config.from_dict({"model": {"base_features": 2, "z_dim": 2}, "train": {"batch_size": 4}})
    gan = build(c, (28, 28, 1))
    state = jax.jit(partial(init, gan))(key)
    batch = {
        "image": np.random.RandomState(0).randn(1, 4, 28, 28, 1).astype(np.float32),
        "label": np.zeros((1, 4), int),
    }
    new, metrics = jax.jit(partial(train_step, gan))(state, batch, key, make_hyper(c))
    assert_as_the_optimizer_saw(metrics, "g", gan.layers["g"], state.generator, new.generator, c.g_optim.b1)
    assert_as_the_optimizer_saw(metrics, "d", gan.layers["d"], state.discriminator, new.discriminator, c.d_optim.b1)
    assert_sigmas(metrics, "d", gan.layers["d"], state.discriminator.params, new.discriminator.stats)


def assert_sigmas(metrics, net: str, layers, params, stats) -> None:
    """v^T W u of the moved vectors and of the parameters before the update, for output channels on the last axis."""
    for layer in layers:
        kernel = np.float64(params[layer.path[0]]["kernel"])
        vectors = jax.tree.map(np.float64, stats["spectral_stats"][layer.path[0]]["SpectralNorm_0"])
        expected = vectors["v"] @ kernel.reshape(-1, kernel.shape[-1]) @ vectors["u"]
        assert_allclose(metrics[f"sigma/{net}/{layer.name}"], expected, rtol=1e-5)


@pytest.mark.slow
def test_sigma_is_that_of_the_first_pass_where_there_are_two(key):
    gan, state, hyper = game(config(model__d_batch_norm=True))
    layers = [layer for layer in gan.layers["d"] if layer.path[0].startswith("Dense")]
    new, metrics = jax.jit(partial(d_step, gan))(state, first(batches(1)), key, hyper)
    assert_sigmas(metrics, "d", layers, state.discriminator.params, new.discriminator.stats)
    assert not [name for name in metrics if name.startswith("sigma/g")]


@pytest.mark.slow
def test_sigma_of_the_generator(key):
    gan, state, hyper = game(small(model__g_spectral_norm=True, model__g_batch_norm=False, train__accumulate=2))
    _, metrics = jax.jit(partial(g_step, gan))(state, first(batches(1)), key, hyper)
    found = {name for name in metrics if name.startswith("sigma/g")}
    assert found == {f"sigma/g/{layer.name}" for layer in gan.layers["g"]}
    for layer in gan.layers["g"]:
        largest = np.linalg.svd(np.float64(state.generator.params[layer.path[0]]["kernel"]), compute_uv=False)[0]
        assert_allclose(metrics[f"sigma/g/{layer.name}"], largest, rtol=0.05)


class FlaxNormed(nn.Module):
    """A caller's own discriminator with Flax's spectral norm, and numbers it tells besides."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.SpectralNorm(nn.Dense(4), n_steps=2)(x.reshape(len(x), -1), update_stats=train)
        self.sow("intermediates", "sigma", x)  # no number
        self.sow("intermediates", "mean", x.mean())
        return DOutput(nn.Dense(1)(x)[:, 0], x, {})


@pytest.mark.slow
def test_sigma_of_flax_is_found_in_a_callers_own_module(key):
    gan, state, hyper = game(small(), discriminator=FlaxNormed())
    batch = first(batches(1))
    new, metrics = jax.jit(partial(d_step, gan))(state, batch, key, hyper)
    _, moved = FlaxNormed().apply(state.discriminator.variables, batch["image"], train=True, mutable=["batch_stats"])
    assert new.discriminator.stats.keys() == state.discriminator.stats.keys()
    assert [name for name in metrics if name.startswith("sigma")] == ["sigma/d/bottom"]
    assert_allclose(metrics["sigma/d/bottom"], moved["batch_stats"]["SpectralNorm_0"]["Dense_0/kernel/sigma"], 1e-5)
    assert names(gan.layers["d"]) == ["bottom", "top"]


def test_sigma_of_several_kernels_of_a_layer_is_the_largest():
    found = sigma_scalars("d", LAYERS, {"intermediates": {"a": {"x": {"sigma": 2.0}, "y": {"sigma": 3.0}}}})
    assert found == {"sigma/d/bottom": 3.0}


# --- in every kind of step -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_scalars_of_a_train_step_are_those_of_its_updates():
    """Not those of the updates by the penalties alone, nor by the codes alone."""
    options = {"regularizers__r1": 1.0, "regularizers__interval": 2, "infogan__categorical": (3,)}
    gan, state, hyper = game(small(**options))
    key = jax.random.key(0)
    _, found = jax.jit(partial(train_step, gan))(state, batches(1), key, hyper)
    _, of_d = jax.jit(partial(d_step, gan))(state, first(batches(1)), stream(key, state.step, 0), hyper)
    assert "penalty/r1" in found and "penalty/r1" not in of_d
    layered = {name for name in found if name.startswith(("grad_norm", "update_ratio", "sigma"))}
    assert len(layered) == 2 + 2 * sum(map(len, gan.layers.values())) + len(gan.layers["d"])
    shared = sorted(layered & of_d.keys())
    assert len(shared) == 1 + 3 * len(gan.layers["d"])
    assert_allclose([found[name] for name in shared], [of_d[name] for name in shared], rtol=1e-5)


@pytest.fixture
def optimized():
    """Programs are compiled as they are outside of the tests."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.mark.slow
def test_watching_changes_no_bit_of_the_training(optimized):
    ends = []
    for watched in (True, False):
        gan, state, hyper = game(small(monitor__layers=watched))
        step = jax.jit(partial(train_step, gan), donate_argnums=0)
        for i in range(3):
            state, metrics = step(state, batches(1, seed=i), jax.random.key(0), hyper)
        ends.append(state)
        assert ("update_ratio/g/top" in metrics) == watched
    jax.tree.map(np.testing.assert_array_equal, *ends)
