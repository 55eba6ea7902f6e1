"""What is minimized, on outputs made up: no network is needed."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logsumexp, softmax
from support.games import CLASSES, small
from support.traced import Traced

from jaxgan.architectures import DOutput
from jaxgan.steps.d_step import d_objective, penalties
from jaxgan.steps.forward import Examples, Update, as_seen
from jaxgan.steps.g_step import g_objective
from jaxgan.steps.gan import build, make_hyper
from jaxgan.steps.randomness import D_FAKE, D_REAL, PENALTY, per_example, stream
from jaxgan.steps.state import GANState
from jaxgan.techniques.losses import LOSSES
from jaxgan.techniques.penalties import PENALTIES, wgan_gp

N = 6
CONDITIONED = {"model__g_conditioning": "concat"}
ADA = {"augment__policy": ("color",), "augment__ada": True}


def d_loss(gan, hyper, real, fake, examples, key):
    return d_objective(gan, Update(examples, key, jnp.int32(0), hyper), real, fake)


def g_loss(gan, hyper, real, fake, examples):
    return g_objective(gan, Update(examples, jax.random.key(0), jnp.int32(0), hyper), real, fake)


def parts(**options):
    c = small(**options)
    return build(c, (8, 8, 1), num_classes=CLASSES), make_hyper(c)


@pytest.fixture(scope="module")
def outputs() -> tuple[DOutput, DOutput]:
    random = np.random.RandomState(0)

    def output() -> DOutput:
        heads = {"class": random.randn(N, CLASSES), "class_fake": random.randn(N, CLASSES + 1)}
        return DOutput(*jax.tree.map(jnp.float32, (random.randn(N), random.randn(N, 5), heads)))

    return output(), output()


@pytest.fixture(scope="module")
def examples() -> Examples:
    label = jnp.int32([0, 2, 1, 2, 0, 1])
    return Examples(jnp.zeros((N, 8, 8, 1)), label, jnp.zeros((N, 3)), jnp.arange(N))


def entropy(logits, label) -> float:
    return (logsumexp(logits, axis=1) - np.take_along_axis(logits, np.asarray(label)[:, None], 1)[:, 0]).mean()


@pytest.mark.slow
def test_objectives_of_a_plain_game_are_its_loss(outputs, examples, key):
    gan, hyper = parts()
    real, fake = outputs
    loss, metrics = d_loss(gan, hyper, *outputs, examples, key)
    assert loss == LOSSES["non_saturating"].d(real.logits, fake.logits)
    per_kind = {f"{group}/{kind}" for group in ("score", "logits", "accuracy") for kind in ("real", "fake")}
    assert metrics.keys() == per_kind | {"loss/d_real", "loss/d_fake", "loss/d_halved"}
    loss, metrics = g_loss(gan, hyper, *outputs, examples)
    assert loss == LOSSES["non_saturating"].g(real.logits, fake.logits) == metrics["loss/g"]
    assert metrics.keys() == {"loss/g", "score/fake_after"}
    assert_allclose(metrics["score/fake_after"], expit(np.float64(fake.logits)).mean(), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_terms_of_the_loss_are_told_apart_where_they_can_be(name, outputs, examples, key):
    r, f = (np.float64(out.logits) for out in outputs)
    entropies = (np.logaddexp(0, -r).mean(), np.logaddexp(0, f).mean())
    expected = {
        "minimax": entropies,
        "non_saturating": entropies,
        "least_squares": (((r - 1) ** 2).mean() / 2, (f**2).mean() / 2),
        "hinge": (np.maximum(1 - r, 0).mean(), np.maximum(1 + f, 0).mean()),
    }
    loss, metrics = d_loss(*parts(loss__name=name), *outputs, examples, key)
    if name not in expected:
        assert not {"loss/d_real", "loss/d_fake", "loss/d_halved"} & metrics.keys()
        return
    assert_allclose([metrics["loss/d_real"], metrics["loss/d_fake"]], expected[name], rtol=1e-6)
    assert_allclose([loss, 2 * metrics["loss/d_halved"]], sum(expected[name]), rtol=1e-6)


@pytest.mark.slow
def test_terms_of_the_loss_follow_the_targets(outputs, examples, key):
    r, f = (np.float64(out.logits) for out in outputs)
    found = d_loss(*parts(targets__smoothing=0.1), *outputs, examples, key).metrics
    real = (0.9 * np.logaddexp(0, -r) + 0.1 * np.logaddexp(0, r)).mean()
    assert_allclose([found["loss/d_real"], found["loss/d_fake"]], [real, np.logaddexp(0, f).mean()], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"regularizers__r1": 1.0},
        {"regularizers__lecam": 1.0},
        {"model__d_conditioning": "auxiliary", **CONDITIONED},
        {"regularizers__r1": 1.0, "model__d_conditioning": "class_fake", **CONDITIONED},
    ],
    ids=["penalty", "lecam", "classes", "class_fake"],
)
def test_adversarial_loss_is_apart_where_more_is_added_to_it(options, outputs, examples, key):
    gan, hyper = parts(**options)
    found = d_loss(gan, hyper, *outputs, examples, key).metrics
    assert_allclose(found["loss/d_adversarial"], found["loss/d_real"] + found["loss/d_fake"], rtol=1e-6)
    if "class_fake" not in options.values():
        expected = LOSSES["non_saturating"].d(*(out.logits for out in outputs))
        assert_allclose(found["loss/d_adversarial"], expected, rtol=1e-6)


def test_adversarial_loss_is_not_said_twice(outputs, examples, key):
    for options in ({}, {"regularizers__r1": 1.0, "regularizers__interval": 4}):
        assert "loss/d_adversarial" not in d_loss(*parts(**options), *outputs, examples, key).metrics


@pytest.mark.parametrize(
    "options",
    [{}, {"loss__name": "least_squares"}, {"loss__name": "hinge"}, {"targets__flip": True}],
    ids=["at 0", "at 1/2", "hinge", "flipped"],
)
def test_accuracy_is_the_share_on_the_right_side(options, outputs, examples, key):
    found = d_loss(*parts(**options), *outputs, examples, key).metrics
    boundary = 0.5 if options.get("loss__name") == "least_squares" else 0
    right = [np.asarray(outputs[0].logits) > boundary, np.asarray(outputs[1].logits) < boundary]
    shares = [(~side if "targets__flip" in options else side).mean() for side in right]
    assert 0 < shares[0] < 1 and 0 < shares[1] < 1
    assert_allclose([found["accuracy/real"], found["accuracy/fake"]], shares, rtol=1e-6)


@pytest.mark.parametrize("name", ["wasserstein", "relativistic_paired", "relativistic_average"])
def test_accuracy_is_not_told_where_logits_have_no_level(name, outputs, examples, key):
    found = d_loss(*parts(loss__name=name), *outputs, examples, key).metrics
    assert not [metric for metric in found if metric.startswith("accuracy")]


def test_scores_after_the_update_are_told_where_they_cost_nothing(outputs, examples):
    real, fake = (expit(np.float64(out.logits)).mean() for out in outputs)
    paired = g_loss(*parts(loss__name="relativistic_paired"), *outputs, examples).metrics
    assert_allclose([paired["score/real_after"], paired["score/fake_after"]], [real, fake], rtol=1e-6)
    flipped = g_loss(*parts(targets__flip=True), *outputs, examples).metrics
    assert_allclose(flipped["score/fake_after"], 1 - fake, rtol=1e-6)
    before = g_loss(*parts(train__order="g_first"), *outputs, examples).metrics
    assert before.keys() == {"loss/g"}  # there G's step comes first


def test_class_fakes_objectives_are_cross_entropies_over_classes_and_generated(outputs, examples, key):
    gan, hyper = parts(model__d_conditioning="class_fake", **CONDITIONED)
    real, fake = (np.float64(out.heads["class_fake"]) for out in outputs)
    expected = entropy(real, examples.label) + entropy(fake, np.full(N, CLASSES))
    assert_allclose(d_loss(gan, hyper, *outputs, examples, key).loss, expected, rtol=1e-6)
    assert_allclose(g_loss(gan, hyper, *outputs, examples).loss, entropy(fake, examples.label), rtol=1e-6)


def test_auxiliary_adds_the_class_losses_of_real_and_generated_examples(outputs, examples, key):
    gan, hyper = parts(model__d_conditioning="auxiliary", loss__class_weight=0.5, **CONDITIONED)
    plain, plain_hyper = parts()
    real, fake = (entropy(np.float64(out.heads["class"]), examples.label) for out in outputs)
    loss, metrics = d_loss(gan, hyper, *outputs, examples, key)
    expected = d_loss(plain, plain_hyper, *outputs, examples, key).loss + 0.5 * (real + fake)
    assert_allclose(loss, expected, rtol=1e-6)
    assert_allclose([metrics["loss/class_real"], metrics["loss/class_fake"]], [real, fake], rtol=1e-6)
    adversarial = g_loss(plain, plain_hyper, *outputs, examples).loss
    loss, metrics = g_loss(gan, hyper, *outputs, examples)
    assert_allclose(loss, adversarial + 0.5 * fake, rtol=1e-6)
    assert_allclose([metrics["loss/g_adversarial"], metrics["loss/g_class"]], [adversarial, fake], rtol=1e-6)


@pytest.mark.slow
def test_generator_of_the_class_loss_alone_has_its_gradient(outputs, examples):
    conditioned = {"model__d_conditioning": "auxiliary", "loss__class_weight": 0.5, **CONDITIONED}
    gan, hyper = parts(loss__g_adversarial_weight=0.0, **conditioned)
    real, fake = outputs
    grads = jax.grad(lambda fake: g_loss(gan, hyper, real, fake, examples).loss)(fake)
    p = softmax(np.float64(fake.heads["class"]), axis=1)
    assert_allclose(grads.heads["class"], 0.5 * (p - np.eye(p.shape[1])[examples.label]) / N, rtol=1e-5, atol=1e-8)
    assert not grads.logits.any() and not grads.features.any()
    gan, hyper = parts(**conditioned)
    assert jax.grad(lambda fake: g_loss(gan, hyper, real, fake, examples).loss)(fake).logits.any()


@pytest.mark.parametrize("conditioning", ["class_fake", "auxiliary"])
def test_objectives_read_each_examples_own_label(conditioning, outputs, examples, key):
    gan, hyper = parts(model__d_conditioning=conditioning, **CONDITIONED)
    permuted = dataclasses.replace(examples, label=examples.label[::-1])
    for objective in (
        lambda e: d_loss(gan, hyper, *outputs, e, key).loss,
        lambda e: g_loss(gan, hyper, *outputs, e).loss,
    ):
        assert abs(objective(examples) - objective(permuted)) > 1e-3


def test_generators_objective_weighs_adversarial_loss_and_feature_matching(outputs, examples):
    plain = g_loss(*parts(), *outputs, examples).loss
    distance = np.sum((np.float64(outputs[0].features).mean(0) - np.float64(outputs[1].features).mean(0)) ** 2)
    for weight, matching in ((2.0, 0.0), (0.5, 3.0), (0.0, 3.0)):
        gan, hyper = parts(loss__g_adversarial_weight=weight, regularizers__feature_matching=matching)
        loss, metrics = g_loss(gan, hyper, *outputs, examples)
        assert_allclose(loss, weight * plain + matching * distance, rtol=1e-6)
        assert ("loss/feature_matching" in metrics) == bool(matching)


@pytest.mark.parametrize(
    "options",
    [ADA, {"loss__name": "least_squares", **ADA}, {"model__d_conditioning": "class_fake", **CONDITIONED, **ADA}],
    ids=["at 0", "at 1/2", "class_fake"],
)
def test_ada_counts_real_logits_on_the_side_of_real(options, outputs, examples, key):
    gan, hyper = parts(**options)
    boundary = 0.5 if options.get("loss__name") else 0
    found = d_loss(gan, hyper, *outputs, examples, key).metrics["ada/sign"]
    assert_allclose(found, np.sign(np.asarray(outputs[0].logits) - boundary).mean(), rtol=1e-6)


def test_ada_and_scores_undo_flipped_labels(outputs, examples, key):
    gan, hyper = parts(targets__flip=True, **ADA)
    metrics = d_loss(gan, hyper, *outputs, examples, key).metrics
    logits = np.float64(outputs[0].logits)
    assert_allclose(metrics["ada/sign"], -np.sign(logits).mean(), rtol=1e-6)
    assert_allclose(metrics["score/real"], 1 - expit(logits).mean(), rtol=1e-6)
    assert_allclose(metrics["logits/real"], logits.mean(), rtol=1e-5)


TRICKS = ["smoothing", "soft_real", "soft_fake", "flip", "noisy_real", "noisy_fake"]


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "least_squares"])
def test_tricks_of_strength_zero_give_the_plain_losses_bit_for_bit(name, outputs, examples, key):
    plain, traced = parts(loss__name=name), parts(loss__name=name, targets__traced=True)
    assert traced[0].label_tricks and not plain[0].label_tricks
    assert d_loss(*traced, *outputs, examples, key).loss == d_loss(*plain, *outputs, examples, key).loss
    assert g_loss(*traced, *outputs, examples).loss == g_loss(*plain, *outputs, examples).loss


@pytest.mark.slow
def test_tricks_of_all_strengths_share_one_compilation(outputs, examples, key):
    gan, hyper = parts(targets__traced=True)

    def both(hyper):
        d = d_loss(gan, hyper, *outputs, examples, key).loss
        return d, g_loss(gan, hyper, *outputs, examples).loss

    traced = Traced(both)
    losses = jax.jit(traced)
    plain = losses(hyper)
    for trick in TRICKS:
        strength = jnp.float32(1.0 if trick == "flip" else 0.5)
        d, g = losses(hyper.replace(tricks=hyper.tricks.replace(**{trick: strength})))
        assert d != plain[0], trick
        assert (g != plain[1]) == (trick == "flip"), trick  # the others are D's alone
    assert traced.times == 1


def test_noisy_labels_differ_between_updates_and_examples(outputs, examples):
    gan, hyper = parts(targets__noisy_real=0.5)
    losses = {float(d_loss(gan, hyper, *outputs, examples, jax.random.key(i)).loss) for i in range(8)}
    assert len(losses) > 4
    assert len({float(d_loss(gan, hyper, *outputs, examples, jax.random.key(0)).loss) for _ in range(2)}) == 1


@pytest.mark.slow
def test_packed_examples_have_one_target_for_each_pack(outputs, examples, key):
    """Six examples packed by two are three logits; what a target is depends on the first example's number."""
    gan, hyper = parts(targets__noisy_real=0.5, model__packing=2)
    packed = [out._replace(logits=out.logits[:3]) for out in outputs]
    loss = d_loss(gan, hyper, *packed, examples, key).loss
    assert np.isfinite(loss)
    half = dataclasses.replace(examples, indices=examples.indices + 6)
    assert d_loss(gan, hyper, *packed, half, key).loss != loss


class Quadratic:
    """A discriminator sum(x^2) / 2 whose gradient is x, in the place of a module."""

    def apply(self, variables, x, *label, train, mutable):
        assert not train  # no statistic may move
        return DOutput(0.5 * jnp.sum(x**2, axis=tuple(range(1, x.ndim))), x, {}), {}


def penalized(gan, hyper, real, fake, examples, key):
    gan = dataclasses.replace(gan, watch_layers=False)  # the stand-ins for a module have no layers
    update = Update(dataclasses.replace(examples, real=real), key, jnp.int32(0), hyper)
    return penalties(gan, GANState(jnp.int32(0), None, None, None, {}), update, {}, {}, fake)


@pytest.mark.slow
def test_penalties_are_summed_by_their_weights_and_draw_whatever_others_there_are(examples, key, rng):
    gan, hyper = parts(regularizers__r1=2.0, regularizers__wgan_gp=10.0)
    gan = dataclasses.replace(gan, discriminator=Quadratic())
    real, fake = (jnp.float32(rng.randn(N, 8, 8, 1)) for _ in range(2))
    total, metrics = penalized(gan, hyper, real, fake, examples, key)
    assert_allclose(metrics["penalty/r1"], 0.5 * (np.float64(real) ** 2).sum((1, 2, 3)).mean(), rtol=1e-5)
    keys = per_example(stream(key, PENALTY, PENALTIES["wgan_gp"].stream), examples.indices)
    apply = lambda x: SimpleNamespace(logits=0.5 * jnp.sum(x**2, axis=(1, 2, 3)))  # noqa: E731
    assert_allclose(metrics["penalty/wgan_gp"], wgan_gp(apply, real, fake, keys), rtol=1e-5)
    assert_allclose(total, 2 * metrics["penalty/r1"] + 10 * metrics["penalty/wgan_gp"], rtol=1e-6)


@pytest.mark.slow
def test_penalties_draw_the_same_whatever_their_order_in_the_table(examples, key, rng):
    gan, hyper = parts(regularizers__wgan_gp=1.0, regularizers__dragan=1.0)
    gan = dataclasses.replace(gan, discriminator=Quadratic())
    turned = dataclasses.replace(gan, penalties=dict(reversed(gan.penalties.items())))
    real, fake = (jnp.float32(rng.randn(N, 8, 8, 1)) for _ in range(2))
    found, again = (penalized(g, hyper, real, fake, examples, key).metrics for g in (gan, turned))
    assert found == again and len(set(map(float, found.values()))) == 2


class Linear:
    """A discriminator w . x whose gradient is w, in the place of a module; it judges packs by the same w."""

    def __init__(self, w):
        self.w = w

    def apply(self, variables, x, *label, train, mutable):
        w = jnp.tile(self.w, x.shape[-1] // self.w.shape[-1])[None]
        return DOutput(jnp.sum(x * w, axis=(1, 2, 3)), x, {}), {}


@pytest.mark.slow
@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize(("penalty", "kind"), [("r1", D_REAL), ("r2", D_FAKE)])
def test_r1_and_r2_before_augmentation_pass_through_it(penalty, kind, packing, examples, key, rng):
    """The augmented image is A x + b, so that the gradient of w . (A x + b) by x is A' w; A is found by its columns."""
    options = {"augment__policy": ("color", "translation", "cutout"), f"regularizers__{penalty}": 1.0}
    gan, hyper = parts(**options, model__packing=packing)
    w = jnp.float32(rng.randn(8, 8, 1))
    gan = dataclasses.replace(gan, discriminator=Linear(w))
    real, fake = (jnp.float32(rng.randn(N, 8, 8, 1)) for _ in range(2))
    _, metrics = penalized(gan, hyper, real, fake, examples, key)
    alone = dataclasses.replace(gan, packing=1)
    state, update = GANState(jnp.int32(0), None, None, None, {}), Update(examples, key, jnp.int32(0), hyper)
    seen = jax.jit(lambda x: as_seen(alone, state, update, kind, jnp.broadcast_to(x, (N, 8, 8, 1))))
    origin = np.float64(seen(jnp.zeros((8, 8, 1))))
    columns = [np.float64(seen(e.reshape(8, 8, 1))) - origin for e in jnp.eye(64)]
    gradients = np.stack([(column * np.float64(w)).sum((1, 2, 3)) for column in columns], axis=1)  # A' w, [N, 64]
    expected = 0.5 * (gradients**2).sum(1).mean() * packing  # the gradient by a pack holds those by its examples
    assert_allclose(metrics[f"penalty/{penalty}"], expected, rtol=1e-4)
    at_augmented = dataclasses.replace(gan, before_augmentation=False)
    _, metrics = penalized(at_augmented, hyper, real, fake, examples, key)
    plain = 0.5 * (np.float64(w) ** 2).sum() * packing
    assert_allclose(metrics[f"penalty/{penalty}"], plain, rtol=1e-5)
    assert abs(expected - plain) > 0.1 * plain


def test_penalties_between_real_and_generated_examples_stay_at_augmented_ones(examples, key, rng):
    options = {"augment__policy": ("cutout",), "regularizers__wgan_gp": 1.0}
    gan, hyper = parts(**options)
    real, fake = (jnp.float32(rng.randn(N, 8, 8, 1)) for _ in range(2))
    gan = dataclasses.replace(gan, discriminator=Quadratic())
    found = [
        penalized(dataclasses.replace(gan, before_augmentation=before), hyper, real, fake, examples, key).loss
        for before in (True, False)
    ]
    assert found[0] == found[1]


@pytest.fixture
def rng():
    return np.random.RandomState(0)
