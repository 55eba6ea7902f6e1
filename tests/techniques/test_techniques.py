"""Every technique in the steps: it moves what it must, leaves alone what it must, and says so in the metrics."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from support.games import batches, first, game, moved, same, small
from support.traced import Traced

from jaxgan.steps import d_step, g_step, train_step

PLAIN = {"model__g_batch_norm": False}  # with less to compile


def steps_of(options):
    """A state, its hyper, the steps of D and of G from it, and the count of their traces."""
    gan, state, hyper = game(small(**{**PLAIN, **options}))
    batch = first(batches(1))

    traced = Traced(
        lambda *args: tuple(step(gan, args[0], batch, jax.random.key(1), args[1]) for step in (d_step, g_step))
    )
    return state, hyper, jax.jit(traced), traced


@pytest.fixture(scope="module")
def plain():
    state, hyper, both, _ = steps_of({})
    return both(state, hyper)


# Options, the metrics they add, and whether they change what D and what G go by. None: other networks or inputs.
TECHNIQUES = {
    "wgan_gp": ({"regularizers__wgan_gp": 1.0}, {"penalty/wgan_gp", "loss/d_adversarial"}, (True, False)),
    "dragan": ({"regularizers__dragan": 1.0}, {"penalty/dragan", "loss/d_adversarial"}, (True, False)),
    "lecam": ({"regularizers__lecam": 1.0}, {"penalty/lecam", "loss/d_adversarial"}, (True, False)),
    "feature matching": (
        {"regularizers__feature_matching": 1.0},
        {"loss/feature_matching", "loss/g_adversarial", "score/real_after"},
        (False, True),
    ),
    "g_adversarial_weight": ({"loss__g_adversarial_weight": 0.5}, set(), (False, True)),
    "augmentation": ({"augment__policy": ("translation", "cutout")}, set(), (True, True)),
    "ada, from 0": ({"augment__policy": ("cutout",), "augment__ada": True}, {"ada/sign", "ada/p"}, (False, False)),
    "packing": ({"model__packing": 2}, set(), (None, None)),
    "minibatch stddev": ({"model__minibatch_stddev": 4}, set(), (None, None)),
    "codes": ({"infogan__categorical": (3,)}, set(), (None, None)),
    "class_fake and ada": (
        {
            "model__g_conditioning": "concat",
            "model__d_conditioning": "class_fake",
            "augment__policy": ("cutout",),
            "augment__ada": True,
        },
        {"ada/sign", "ada/p"},
        (None, None),
    ),
    "auxiliary": (
        {"model__g_conditioning": "concat", "model__d_conditioning": "auxiliary"},
        {"loss/class_real", "loss/class_fake", "loss/g_class", "loss/d_adversarial", "loss/g_adversarial"},
        (None, None),
    ),
    "lazy r1": ({"regularizers__r1": 1.0, "regularizers__interval": 3}, set(), (False, False)),
}


def of_nets(metrics):
    """The names of those that are not of single layers, of which other networks have others."""
    return {name for name in metrics if name.count("/") == 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", TECHNIQUES)
def test_technique_moves_one_network_at_a_time_and_only_what_it_is_for(name, plain):
    options, added, (of_d, of_g) = TECHNIQUES[name]
    state, hyper, both, _ = steps_of(options)
    (after_d, d), (after_g, g) = both(state, hyper)

    assert same((after_d.generator, after_d.ema, after_d.step), (state.generator, state.ema, state.step))
    assert same((after_g.discriminator, after_g.aux), (state.discriminator, state.aux))
    read = {k: v for k, v in after_d.discriminator.params.items() if k != "head_codes"}  # which info_step moves
    assert moved(read, {k: state.discriminator.params[k] for k in read})
    # After one layer of ReLUs on few examples, a unit or two may have been silent.
    for leaf, before in zip(*map(jax.tree.leaves, (after_g.generator.params, state.generator.params)), strict=True):
        assert not same(leaf, before)

    assert of_nets(d) | of_nets(g) == of_nets(plain[0][1]) | of_nets(plain[1][1]) | added
    assert all(np.isfinite(value) for value in (*d.values(), *g.values()))
    for changed, metrics, expected, part in ((of_d, d, plain[0][1], "d"), (of_g, g, plain[1][1], "g")):
        if changed is not None:
            for key in (f"loss/{part}", f"grad_norm/{part}"):
                near = np.isclose(metrics[key], expected[key], rtol=1e-5)
                assert near != changed, key


@pytest.mark.slow
def test_lecam_remembers_the_logits_that_d_gave():
    state, hyper, both, _ = steps_of(TECHNIQUES["lecam"][0])
    (new, metrics), _ = both(state, hyper)
    averages = new.aux["lecam"]
    assert_allclose([averages.real, averages.fake], [metrics["logits/real"], metrics["logits/fake"]], rtol=1e-5)
    assert_allclose(averages.weight, 0.01, rtol=1e-5)


@pytest.mark.slow
def test_lecam_relu_reaches_the_step():
    options = {"regularizers__lecam": 1.0, "model__d_spectral_norm": False}
    found = {}
    for relu in (False, True):
        state, hyper, both, _ = steps_of({**options, "regularizers__lecam_relu": relu})
        (_, metrics), _ = both(state, hyper)
        found[relu] = float(metrics["penalty/lecam"])
    assert 0 < found[True] < found[False]


@pytest.mark.slow
def test_ada_goes_up_by_the_share_of_examples_where_d_is_sure():
    """`test_augment` has the other direction."""
    options = {"augment__policy": ("cutout",), "augment__ada": True, "augment__p": 0.5, "augment__ada_kimg": 0.1}
    state, hyper, both, _ = steps_of({**options, "augment__ada_target": -1.0, "augment__ada_interval": 1})
    (new, metrics), _ = both(state, hyper)
    assert metrics["ada/sign"] > -1
    assert_allclose(new.aux["ada_p"], 0.5 + 8 / 100, rtol=1e-6)
    assert metrics["ada/p"] == new.aux["ada_p"]


@pytest.mark.slow
def test_clip_bounds_all_of_the_discriminator_after_its_step_and_nothing_of_the_generator():
    options = {"regularizers__clip": 0.01, "loss__name": "wasserstein", "model__d_spectral_norm": False}
    state, hyper, both, _ = steps_of(options)
    bound = lambda params: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(params))  # noqa: E731
    (after_d, _), (after_g, _) = both(state, hyper)
    assert_allclose(bound(after_d.discriminator.params), 0.01)
    assert bound(after_g.generator.params) > 0.1 and same(after_g.discriminator, state.discriminator)


TRICKS = {
    "targets__traced": True,
    "targets__instance_noise_steps": 10,
    "augment__policy": ("cutout",),
    "augment__p": 0.0,
}


@pytest.mark.slow
def test_tricks_share_one_program_that_is_the_plain_one_at_strength_zero(plain):
    """Of instance noise and augmentation too; equal to the last bit or two, for XLA may fuse the larger program
    otherwise. `test_objectives` has the losses bit for bit."""
    state, hyper, both, traced = steps_of(TRICKS)
    off = both(state, hyper)
    for (_, found), (_, expected) in zip(off, plain, strict=True):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_allclose(found[key], expected[key], rtol=1e-6, err_msg=key)

    for name, value, of_g in (
        ("smoothing", 0.1, False),
        ("soft_real", 0.3, False),
        ("soft_fake", 0.3, False),
        ("noisy_real", 0.9, False),
        ("noisy_fake", 0.9, False),
        ("flip", 1.0, True),
        ("instance_noise", 0.3, True),
        ("augment_p", 1.0, True),
    ):
        strength = jnp.float32(value)
        if name == "augment_p":
            changed = hyper.replace(augment_p=strength)
        else:
            changed = hyper.replace(tricks=hyper.tricks.replace(**{name: strength}))
        (_, d), (_, g) = both(state, changed)
        assert abs(d["loss/d"] - off[0][1]["loss/d"]) > 1e-4, name
        assert (abs(g["loss/g"] - off[1][1]["loss/g"]) > 1e-4) == of_g, name
    assert traced.times == 1


@pytest.mark.slow
@pytest.mark.parametrize("order", ["d_first", "g_first"])
def test_train_step_makes_lazy_penalties_and_codes_part_of_a_step(order, key):
    """One D-step, one on the penalties where it is due, one of G and one on the codes."""
    options = {
        "regularizers__r1": 1.0,
        "regularizers__interval": 2,
        "infogan__categorical": (3,),
        "train__order": order,
    }
    gan, state, hyper = game(small(**{**PLAIN, **options}))
    for penalize in (True, False):
        step = jax.jit(partial(train_step, gan, penalize=penalize))
        new, metrics = step(state, batches(1), key, hyper)
        counts = [net[0].count for net in (new.discriminator.opt_state, new.generator.opt_state, new.aux["info"])]
        assert counts == [1 + penalize, 1, 1]
        assert ("penalty/r1" in metrics) == penalize
        assert {"loss/d", "loss/g", "info/categorical"} <= metrics.keys()
