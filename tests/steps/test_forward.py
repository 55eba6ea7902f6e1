"""What the networks are shown, and that each draws its own randomness."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support.games import CLASSES, batches, first, game, same, small

from jaxgan.architectures import DOutput
from jaxgan.errors import UserError
from jaxgan.steps import d_step, g_step
from jaxgan.steps.forward import Examples, Update, as_seen, examples_of, g_inputs, pack, show, unpack
from jaxgan.steps.gan import build, make_hyper
from jaxgan.steps.randomness import CODES, D_FAKE, D_REAL, G_FAKE, G_REAL, Z, latents, per_example, stream
from jaxgan.steps.state import GANState

KINDS = (D_REAL, D_FAKE, G_REAL, G_FAKE)
INDICES = jnp.arange(8)


def state_of(**aux) -> GANState:
    """As much of a state as showing examples needs."""
    return GANState(jnp.int32(0), None, None, None, aux)


def shown(options, x, key, kind=D_REAL, step=0, **aux):
    c = small(**options)
    update = Update(Examples(x, None, None, INDICES), key, jnp.int32(step), make_hyper(c))
    return as_seen(build(c, (8, 8, 1)), state_of(**aux), update, kind, x)


NOISE = {"targets__instance_noise": 0.5, "targets__instance_noise_steps": 10}
CUTOUT = {"augment__policy": ("cutout",)}


@pytest.mark.slow
@pytest.mark.parametrize("options", [NOISE, CUTOUT], ids=["noise", "augmentation"])
def test_what_d_sees_is_drawn_anew_for_each_kind_of_example_each_example_and_each_update(options, key):
    x = jnp.ones((8, 8, 8, 1))
    kinds = [np.asarray(shown(options, x, k, kind)) for k in (key, jax.random.key(1)) for kind in KINDS]
    assert len(np.unique(np.stack(kinds).reshape(len(kinds), -1), axis=0)) == len(kinds)
    assert len(np.unique(kinds[0].reshape(8, -1), axis=0)) > 4  # two erased boxes may be the same
    assert_array_equal(shown(options, x, key), kinds[0])


def test_noise_ends_after_its_steps_and_is_half_as_strong_half_way(key):
    x = jnp.zeros((8, 8, 8, 1))
    at_start, half_way, after = (np.asarray(shown(NOISE, x, key, step=step)) for step in (0, 5, 10))
    assert_allclose(at_start.std(), 0.5, rtol=0.1)
    assert_allclose(half_way, 0.5 * at_start, rtol=1e-6)
    assert_array_equal(after, x)


def test_adas_probability_is_that_of_the_state(key):
    x = jnp.ones((8, 8, 8, 1))
    ada = {**CUTOUT, "augment__ada": True, "augment__p": 0.5}
    assert_array_equal(shown(ada, x, key, ada_p=jnp.float32(0)), x)
    always = shown(ada, x, key, ada_p=jnp.float32(1))
    assert (np.asarray(always).reshape(8, -1) == 0).any(axis=1).all()
    assert_array_equal(always, shown(CUTOUT, x, key))


def test_what_d_sees_with_tricks_at_zero_is_the_identity(key):
    traced = {"targets__traced": True, "targets__instance_noise_steps": 10, **CUTOUT, "augment__p": 0.0}
    x = jnp.linspace(-1, 1, 512).reshape(8, 8, 8, 1)
    assert_array_equal(shown(traced, x, key), x)


def test_examples_are_packed_after_each_is_augmented_and_noisy(key):
    x = jnp.linspace(-1, 1, 512).reshape(8, 8, 8, 1)
    assert_array_equal(
        shown({"model__packing": 2, **NOISE, **CUTOUT}, x, key), pack(shown({**NOISE, **CUTOUT}, x, key), 2)
    )


@pytest.mark.parametrize("m", [1, 2, 4])
def test_pack_puts_examples_that_follow_each_other_side_by_side(m):
    x = np.random.RandomState(0).randn(8, 5, 4, 3)
    packed = np.asarray(pack(jnp.float32(x), m))
    assert packed.shape == (8 // m, 5, 4, 3 * m)
    for i, example in enumerate(np.float32(x)):
        assert_array_equal(packed[i // m, ..., i % m * 3 : (i % m + 1) * 3], example)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_unpack_undoes_pack(m):
    x = jnp.float32(np.random.RandomState(0).randn(8, 5, 4, 3))
    assert_array_equal(unpack(pack(x, m), m), x)


@pytest.mark.slow
def test_inputs_are_latents_then_codes_that_do_not_depend_on_each_other(key):
    gan = build(small(infogan__continuous=1, infogan__distribution="normal"), (8, 8, 1))
    inputs = np.asarray(g_inputs(gan, key, jnp.arange(2000)))
    assert inputs.shape == (2000, gan.input_dim) == (2000, 4)
    assert_array_equal(inputs[:, :3], latents(key, jnp.arange(2000), 3, "normal"))
    assert np.abs(np.corrcoef(inputs.T) - np.eye(4)).max() < 0.08


def test_streams_of_purposes_differ():
    key = jax.random.key(0)
    keys = [stream(key, Z), stream(key, CODES), stream(key, CODES, 0), stream(key, 1, 2), stream(key, 2, 1), key]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)
    assert len({tuple(row) for row in jax.random.key_data(per_example(key, jnp.arange(50))).tolist()}) == 50


class ShowsLabel(nn.Module):
    """A generator of images that are all their label."""

    @nn.compact
    def __call__(self, z, label, *, train):
        w = self.param("w", nn.initializers.ones, ())
        return w * jnp.ones((len(z), 8, 8, 1)) * label[:, None, None, None]


class SeesLabel(nn.Module):
    """A discriminator whose logit is how far an image of one value is from its label."""

    @nn.compact
    def __call__(self, x, label, *, train):
        w = self.param("w", nn.initializers.ones, ())
        return DOutput(w * jnp.abs(x[:, 0, 0, 0] - label), x.reshape(len(x), -1), {})


CONDITIONAL = {"model__g_conditioning": "concat", "model__d_conditioning": "concat"}


@pytest.mark.slow
def test_generated_examples_are_of_the_batchs_labels_and_judged_by_them(key):
    gan, state, hyper = game(small(**CONDITIONAL), generator=ShowsLabel(), discriminator=SeesLabel())
    batch = first(batches(1))
    _, metrics = d_step(gan, state, batch, key, hyper)
    assert metrics["logits/fake"] == 0
    expected = np.abs(batch["image"][:, 0, 0, 0] - batch["label"]).mean()
    assert_allclose(metrics["logits/real"], expected, rtol=1e-6)
    _, metrics = g_step(gan, state, batch, key, hyper)
    assert_allclose(metrics["loss/g"], np.log(2), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "head"),
    [
        ({**CONDITIONAL, "model__d_conditioning": "auxiliary"}, "class"),
        ({**CONDITIONAL, "model__d_conditioning": "class_fake"}, "class_fake"),
        ({**CONDITIONAL, "infogan__categorical": (3,)}, "codes"),
    ],
)
def test_a_discriminator_without_the_head_that_a_loss_is_of_is_refused(options, head, key):
    gan, state, hyper = game(small(**options), discriminator=SeesLabel())
    with pytest.raises(UserError, match=rf"returns no heads, .* reads heads\['{head}'\]"):
        d_step(gan, state, first(batches(1)), key, hyper)


def test_labels_are_left_out_of_a_game_without_conditioning(key):
    gan = build(small(), (8, 8, 1), num_classes=CLASSES)
    assert gan.num_classes == 0
    assert examples_of(gan, {"image": first(batches(1))["image"]}, key).label is None


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", ["concat", "class_fake", "auxiliary", "projection"])
def test_steps_use_the_labels(conditioning, key):
    """Other labels, another loss: of D on the same images, and of G, which makes others too."""
    gan, state, hyper = game(small(model__g_conditioning="batch_norm", model__d_conditioning=conditioning))

    @jax.jit
    def losses(batch):
        d, g = (step(gan, state, batch, key, hyper)[1] for step in (d_step, g_step))
        return d["loss/d"], d["logits/real"], g["loss/g"]

    batch = first(batches(1))
    a, b = losses(batch), losses({**batch, "label": (batch["label"] + 1) % CLASSES})
    assert abs(a[0] - b[0]) > 1e-4 and abs(a[2] - b[2]) > 1e-4
    # AC-GAN's logit and the sum over classes of `class_fake` know of no label.
    assert (a[1] == b[1]) == (conditioning in ("class_fake", "auxiliary"))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"model__minibatch_stddev": 4}], ids=["apart", "in groups"])
def test_one_pass_over_both_kinds_equals_two(options, key):
    gan, state, hyper = game(small(**options))
    d = state.discriminator
    batch, fake = first(batches(1)), first(batches(1, seed=1))["image"]
    update = Update(examples_of(gan, batch, key), key, state.step, hyper)

    def both(gan, move_spectral):
        shown = {D_REAL: batch["image"], D_FAKE: fake}
        return show(gan, state, update, d.params, d.stats, shown, move_spectral=move_spectral)

    one, two = both(gan, True), both(dataclasses.replace(gan, penalties={"r1": None}), True)
    jax.tree.map(partial(assert_allclose, rtol=1e-5, atol=1e-6), one.outputs, two.outputs)
    assert same(one.stats, two.stats) and not same(one.stats, d.stats)
    assert same(both(gan, False).stats, d.stats)
