import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support.games import batches, config, first, game, moved, run, same
from support.traced import Traced

from jaxgan.architectures import DOutput
from jaxgan.config.config import Config
from jaxgan.devices.cpu import collectives_at_once
from jaxgan.devices.devices import AXIS, Devices
from jaxgan.steps import d_step, g_step, train_step
from jaxgan.steps.forward import examples_of
from jaxgan.steps.gan import build, init, make_hyper
from jaxgan.steps.randomness import latents, seed_keys
from jaxgan.techniques.losses import LOSSES

BATCH_NORMS = [{}, {"model__d_batch_norm": True}]


@pytest.mark.slow
@pytest.mark.parametrize("options", BATCH_NORMS, ids=["spectral norm", "and batch norm"])
def test_d_step_moves_all_of_the_discriminator_and_nothing_else(options, key):
    gan, state, hyper = game(config(**options))
    new, _ = jax.jit(partial(d_step, gan))(state, first(batches(1)), key, hyper)
    assert same((new.generator, new.ema, new.step), (state.generator, state.ema, state.step))
    assert moved(new.discriminator.params, state.discriminator.params)
    for name, stats in state.discriminator.stats.items():  # not every leaf: u of a one-unit layer stays 1
        assert not same(new.discriminator.stats[name], stats)


@pytest.mark.slow
@pytest.mark.parametrize("options", BATCH_NORMS, ids=["spectral norm", "and batch norm"])
def test_g_step_moves_all_of_the_generator_and_nothing_else(options, key):
    gan, state, hyper = game(config(**options))
    new, _ = jax.jit(partial(g_step, gan))(state, first(batches(1)), key, hyper)
    assert same(new.discriminator, state.discriminator)
    assert moved((new.generator.params, new.generator.stats), (state.generator.params, state.generator.stats))
    assert moved((new.ema.params, new.ema.stats), (state.ema.params, state.ema.stats))
    assert new.step == state.step + 1


class Scalar(nn.Module):
    """A discriminator w x or a generator w z with one weight, whose updates can be done by hand."""

    discriminator: bool

    @nn.compact
    def __call__(self, x, *, train):
        w = self.param("w", nn.initializers.constant(0.5), ())
        return DOutput(w * x[:, 0], x, {}) if self.discriminator else w * x


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("order", ["d_first", "g_first"])
def test_train_step_equals_updates_by_hand(loss, order):
    """Two D-steps and one G-step of a one-weight game, against gradients taken in float64 of the loss itself."""
    c = Config.from_dict(
        {
            "data": {"source": "synthetic", "name": "ring"},
            "model": {"architecture": "mlp", "z_dim": 1, "output": "linear"},
            "loss": {"name": loss},
            "g_optim": {"learning_rate": 0.1, "b1": 0.0, "b2": 0.5, "eps": 1.0},
            "d_optim": {"learning_rate": 0.2, "b1": 0.0, "b2": 0.5, "eps": 1.0},
            "train": {"batch_size": 4, "d_steps_per_g_step": 2, "order": order, "ema_decay": 0.0},
        }
    )
    gan = build(c, (1,), None, Scalar(False), Scalar(True))
    state = jax.jit(partial(init, gan))(jax.random.key(0))
    real = np.random.RandomState(0).randn(2, 4, 1).astype(np.float32)
    key = jax.random.key(5)
    batch = {"image": real, "label": np.zeros((2, 4), np.int32)}
    new, metrics = jax.jit(partial(train_step, gan))(state, batch, key, make_hyper(c))

    step_key = jax.random.fold_in(key, 0)
    zs = [latents(jax.random.fold_in(jax.random.fold_in(step_key, i), 0), jnp.arange(4), 1, "normal") for i in (0, 1)]
    g = d = 0.5
    v = 0.0
    r = real[..., 0]

    def g_update(i, g, d):
        slope = jax.grad(lambda w: LOSSES[loss].g(d * r[i], d * w * zs[i][:, 0]))(g)
        return g - 0.1 * slope / (abs(slope) + 1)  # Adam's first step: m / (sqrt(v) + eps) with eps = 1

    if order == "g_first":
        g = g_update(0, g, d)
    for i in (0, 1):
        slope = jax.grad(lambda w, i=i, g=g: LOSSES[loss].d(w * r[i], w * g * zs[i][:, 0]))(d)
        v = 0.5 * v + 0.5 * slope**2
        d = d - 0.2 * slope / (np.sqrt(v / (1 - 0.5 ** (i + 1))) + 1)
    if order == "d_first":
        g = g_update(1, g, d)
    assert_allclose(new.discriminator.params["w"], d, rtol=1e-5)
    assert_allclose(new.generator.params["w"], g, rtol=1e-5)
    assert_allclose(new.ema.params["w"], new.generator.params["w"])
    assert {"loss/d", "loss/g", "score/real", "score/fake", "grad_norm/d", "grad_norm/g"} <= metrics.keys()


@pytest.mark.slow
def test_d_step_adds_each_penalty_by_its_weight(key):
    plain, state, hyper = game(config())
    _, without = jax.jit(partial(d_step, plain))(state, first(batches(1)), key, hyper)
    gan, state, hyper = game(config(regularizers__r1=0.5, regularizers__r2=2.0))
    _, with_both = jax.jit(partial(d_step, gan))(state, first(batches(1)), key, hyper)
    expected = without["loss/d"] + 0.5 * with_both["penalty/r1"] + 2 * with_both["penalty/r2"]
    assert with_both["penalty/r1"] > 0 and with_both["penalty/r2"] > 0
    assert_allclose(with_both["loss/d"], expected, rtol=1e-5)


@pytest.mark.slow
def test_d_step_with_batch_norm_sees_real_and_fake_apart(key):
    """Adding a constant to every real image must change no batch-normalized logit of a fake one."""
    gan, state, hyper = game(config(model__d_batch_norm=True))
    batch = first(batches(1))
    shifted = {**batch, "image": batch["image"] + 1}
    step = jax.jit(partial(d_step, gan))
    _, a = step(state, batch, key, hyper)
    _, b = step(state, shifted, key, hyper)
    assert a["logits/fake"] == b["logits/fake"]
    assert a["logits/real"] != b["logits/real"]


@pytest.mark.slow
def test_spectral_norm_moves_once_per_d_step_whatever_the_passes(key):
    """With a learning rate of 0 the kernels stand still, so u and v tell how many iterations were made."""
    stats = []
    for options in BATCH_NORMS:
        gan, state, hyper = game(config(d_optim__learning_rate=0.0, **options))
        moved_once, _ = jax.jit(partial(d_step, gan))(state, first(batches(1)), key, hyper)
        stats.append((state, moved_once))
    for state, new in stats:
        kernel = state.discriminator.params["Dense_0"]["kernel"]
        u = state.discriminator.stats["spectral_stats"]["Dense_0"]["SpectralNorm_0"]
        w = np.float64(kernel)
        left = np.float64(u["v"]) @ w
        left /= np.linalg.norm(left)
        found = new.discriminator.stats["spectral_stats"]["Dense_0"]["SpectralNorm_0"]["u"]
        assert_allclose(found, left, atol=1e-6)


def test_each_step_draws_numbers_of_its_own():
    gan, state, hyper = game(config())
    step, batch, key = jax.jit(partial(train_step, gan)), batches(1), jax.random.key(0)
    first, again, later = (
        step(dataclasses.replace(state, step=state.step + n), batch, key, hyper)[1]["logits/fake"] for n in (0, 0, 1)
    )
    assert first == again and first != later


@pytest.mark.slow
def test_train_step_compiles_once_for_all_hypers_and_steps():
    c = config(regularizers__r1=1.0)
    gan, state, hyper = game(c)
    traced = Traced(partial(train_step, gan))
    step = jax.jit(traced)
    key = jax.random.key(0)
    for scale in (1.0, 0.5, 0.0):
        changed = jax.tree.map(lambda x, s=scale: x * s, hyper)
        state, _ = step(state, batches(1), key, changed)
    assert traced.times == 1


@pytest.mark.slow
def test_train_step_obeys_its_hypers():
    gan, state, hyper = game(config())
    # But for Adam's eps, without which a gradient of 0 has no direction.
    g_optim, d_optim = (jax.tree.map(jnp.zeros_like, o).replace(eps=o.eps) for o in (hyper.g_optim, hyper.d_optim))
    still = jax.tree.map(jnp.zeros_like, hyper).replace(g_optim=g_optim, d_optim=d_optim)
    new, _ = jax.jit(partial(train_step, gan))(state, batches(1), jax.random.key(0), still)
    assert same(new.generator.params, state.generator.params)
    assert same(new.discriminator.params, state.discriminator.params)


@pytest.mark.slow
def test_train_step_can_be_mapped_over_hypers():
    gan, state, hyper = game(config())
    rates = jnp.float32([0.0, 1e-2])
    hypers = jax.tree.map(lambda x: jnp.stack([x, x]), hyper)
    hypers = hypers.replace(g_optim=hypers.g_optim.replace(learning_rate=rates))
    sweep = jax.jit(jax.vmap(partial(train_step, gan), in_axes=(None, None, None, 0)))
    new, _ = sweep(state, batches(1), jax.random.key(0), hypers)
    still, going = (jax.tree.map(lambda x, i=i: x[i], new.generator.params) for i in (0, 1))
    assert same(still, state.generator.params) and moved(going, state.generator.params)


@pytest.mark.slow
def test_train_step_repeats_itself_bit_for_bit_and_depends_on_the_key():
    gan, state, hyper = game(config())
    step = jax.jit(partial(train_step, gan))
    a, b, c = (step(state, batches(1), jax.random.key(k), hyper)[0] for k in (0, 0, 1))
    assert same(a, b) and not same(a.generator.params, c.generator.params)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_train_step_keeps_the_types_of_the_state(dtype):
    gan, state, hyper = game(config(train__dtype=dtype))
    new, metrics = jax.eval_shape(partial(train_step, gan), state, batches(1), jax.random.key(0), hyper)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {x.dtype for x in jax.tree.leaves((new.generator.params, new.discriminator.stats))} == {jnp.dtype("float32")}
    assert {x.dtype for x in metrics.values()} == {jnp.dtype("float32")}


@pytest.mark.slow
def test_train_step_in_bfloat16_stays_near_float32():
    results = []
    for dtype in ("float32", "bfloat16"):
        gan, state, hyper = game(config(train__dtype=dtype))
        results.append(jax.jit(partial(train_step, gan))(state, batches(1), jax.random.key(0), hyper)[1])
    for name in ("loss/d", "loss/g"):
        assert_allclose(results[1][name], results[0][name], rtol=0.03)
        assert results[1][name] != results[0][name]  # or nothing was computed in bfloat16


@pytest.mark.slow
def test_latents_depend_on_their_own_index_only(key):
    many = latents(key, jnp.arange(10), 4, "normal")
    np.testing.assert_array_equal(latents(key, jnp.int32([7, 2]), 4, "normal"), many[jnp.array([7, 2])])


@pytest.mark.parametrize(("distribution", "std"), [("normal", 1.0), ("uniform", 3**-0.5)])
def test_latents_have_their_distribution(distribution, std, key):
    z = np.asarray(latents(key, jnp.arange(20_000), 2, distribution))
    assert_allclose(z.mean(), 0, atol=0.02)
    assert_allclose(z.std(), std, rtol=0.02)
    assert distribution == "normal" or np.abs(z).max() <= 1


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_latents_truncation_bounds_every_coordinate_and_fills_the_range(distribution, key):
    z = np.asarray(latents(key, jnp.arange(1000), 4, distribution, truncation=0.5))
    assert 0.49 < np.abs(z).max() <= 0.5


# --- devices -------------------------------------------------------------------------------------------------


EVERYTHING = {
    "loss__name": "relativistic_average",  # whose inner means must be the global batch's
    "train__d_steps_per_g_step": 2,
    "model__g_batch_norm": True,
}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"regularizers__r1": 1.0}, {"model__d_batch_norm": True}], ids=["r1", "d bn"])
def test_devices_one_and_four_give_the_same_run(options, float64):
    """In float64, so that rounding (1e-16, grown by Adam's division to perhaps 1e-11 in five steps) hides nothing.

    A wrong mean, statistic or latent would show at 1e-2.
    """
    (one, m1), (four, m4) = (run(config(**EVERYTHING, **options), n, widen=True) for n in (1, 4))
    assert one.generator.params["Dense_0"]["kernel"].dtype == jnp.float64
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-8, atol=1e-10), one, four)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-8), m1, m4)


@pytest.mark.slow
def test_devices_hold_equal_replicas():
    state, metrics = run(config(**EVERYTHING, model__d_batch_norm=True), 4, steps=3)
    for leaf in jax.tree.leaves((state, metrics)):
        values = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(values) == 4
        assert all((value == values[0]).all() for value in values)


def test_devices_see_different_latents_that_are_those_of_one_device():
    seen = {}
    for count in (1, 4):
        devices = Devices(jax.devices()[:count])
        gan = build(config(), (8, 8, 1), AXIS)

        def one(state, batch, key, hyper, gan=gan):
            return state, jax.lax.all_gather(examples_of(gan, batch, key).z, AXIS, tiled=True)

        batch = devices.shard([first(batches(1))])
        batch = jax.tree.map(lambda x: x[:, 0], batch)
        _, seen[count] = devices.map(one)(
            devices.put(jnp.zeros(())), batch, devices.put(jax.random.key(3)), devices.put(jnp.zeros(()))
        )
    np.testing.assert_array_equal(seen[1], seen[4])
    assert len(np.unique(np.asarray(seen[4])[:, 0])) == 8


@pytest.mark.slow
def test_devices_compile_a_step_once():
    c = config()
    devices = Devices(jax.devices()[:2])
    gan = build(c, (8, 8, 1), AXIS)
    traces = []

    def counted(*args):
        traces.append(1)
        return train_step(gan, *args)

    state, step = devices.replicate(partial(init, gan, jax.random.key(0))), devices.map(counted)
    key, hyper = devices.put(jax.random.key(0)), make_hyper(c)
    for scale in (1.0, 0.5, 0.1):
        changed = devices.put(jax.tree.map(lambda x, s=scale: x * s, hyper))
        state, _ = step(state, devices.shard([first(batches(1))]), key, changed)
    assert len(traces) == 1


@pytest.mark.slow
def test_devices_may_be_mapped_by_shard_map_too():
    """The same step under the newer map, which keeps the global batch in one array."""
    from jax.sharding import Mesh, PartitionSpec

    c = config(model__d_batch_norm=True)
    gan = build(c, (8, 8, 1), AXIS)
    replicated, split = PartitionSpec(), PartitionSpec(None, AXIS)
    step = jax.shard_map(
        partial(train_step, gan),
        mesh=Mesh(np.asarray(jax.devices()[:4]), (AXIS,)),
        in_specs=(replicated, split, replicated, replicated),
        out_specs=(replicated, replicated),
        check_vma=False,
    )
    state = jax.jit(partial(init, gan))(seed_keys(0).init)
    new, metrics = jax.jit(step)(state, batches(1, seed=0), seed_keys(0).train, make_hyper(c))
    expected, expected_metrics = run(c, 4, steps=1)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-6), new, expected)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5), metrics, expected_metrics)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        ({"model__d_batch_norm": True}, 4),
        ({"loss__name": "relativistic_average"}, 4),
        ({"train__d_steps_per_g_step": 5}, 8),
        ({"train__accumulate": 4}, 13),  # D's examples, G's, and D's batch norm of real examples, each in 4 parts
        ({"train__accumulate": 4, "regularizers__r1": 1.0, "regularizers__interval": 2}, 17),
    ],
    ids=str,
)
def test_collectives_at_once_counts_what_does_not_wait_for_another(changes, expected):
    assert collectives_at_once(config(**changes)) == expected
