import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from support.games import batches, first, game, moved, same, small

from jaxgan.steps import info_step
from jaxgan.techniques.infogan import Codes, code_losses, draw, sweep, values

CODES = Codes((3, 2), 2, "uniform")


@pytest.mark.slow
def test_codes_are_one_hot_then_continuous(key):
    drawn = np.asarray(draw(CODES, key, jnp.arange(200)))
    assert drawn.shape == (200, CODES.width) and drawn.dtype == np.float32
    for part in (drawn[:, :3], drawn[:, 3:5]):
        assert_array_equal(np.sort(part, axis=1)[:, :-1], 0)
        assert_array_equal(part.max(axis=1), 1)
    assert -1 <= drawn[:, 5:].min() < -0.9 and 0.9 < drawn[:, 5:].max() <= 1


@pytest.mark.slow
def test_codes_have_their_distributions_and_do_not_depend_on_each_other(key):
    drawn = np.asarray(draw(Codes((4, 4), 2, "normal"), key, jnp.arange(4000)))
    assert_allclose(drawn[:, :8].mean(axis=0), 0.25, atol=0.03)
    assert_allclose(drawn[:, 8:].mean(axis=0), 0, atol=0.06)
    assert_allclose(drawn[:, 8:].std(axis=0), 1, atol=0.05)
    both = np.corrcoef(drawn.T)
    assert np.abs(both[:4, 4:]).max() < 0.06 and np.abs(both[4:8, 8:]).max() < 0.06 and abs(both[8, 9]) < 0.06


@pytest.mark.slow
def test_codes_depend_on_their_own_index_only(key, float64):
    many = draw(CODES, key, jnp.arange(10))
    assert_array_equal(draw(CODES, key, jnp.int32([7, 2])), many[jnp.array([7, 2])])
    assert many.dtype == jnp.float32  # the same codes in float64


def test_values_are_the_numbers_of_the_categorical_codes():
    drawn = jnp.float32([[0, 1, 0, 0, 1, 0.3, -0.2], [0, 0, 1, 1, 0, 0.9, 0.1]])
    assert [v.tolist() for v in values(CODES, drawn)] == [[1, 2], [1, 0]]


@pytest.mark.slow
@pytest.mark.parametrize("z_dim", [0, 4])
def test_code_losses_equal_their_formulas(z_dim, rng):
    codes = CODES._replace(z_dim=z_dim)
    z = rng.randn(6, 4)
    drawn = np.asarray(draw(codes, jax.random.key(1), jnp.arange(6)), float)
    predicted = rng.randn(6, codes.outputs)
    found = code_losses(codes, jnp.float32(predicted), jnp.float32(np.concatenate([z, drawn], 1)))

    entropy = 0.0
    for place in (slice(0, 3), slice(3, 5)):
        logits = predicted[:, place]
        entropy += (logsumexp(logits, axis=1) - (logits * drawn[:, place]).sum(1)).mean()
    assert_allclose(found["info/categorical"], entropy, rtol=1e-5)
    assert_allclose(found["info/continuous"], ((predicted[:, 5:7] - drawn[:, 5:]) ** 2).mean(), rtol=1e-5)
    if z_dim:
        assert_allclose(found["info/z"], ((predicted[:, 7:] - z) ** 2).mean(), rtol=1e-5)


@pytest.mark.slow
def test_code_losses_are_of_the_codes_there_are(rng):
    for codes, names in (
        (Codes((3,), 0, "uniform"), {"info/categorical"}),
        (Codes((), 2, "uniform"), {"info/continuous"}),
        (Codes((3,), 0, "uniform", 4), {"info/categorical", "info/z"}),
    ):
        inputs = jnp.float32(rng.rand(5, 4 + codes.width))
        assert code_losses(codes, jnp.zeros((5, codes.outputs), jnp.bfloat16), inputs).keys() == names


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture(scope="module")
def informed():
    """A game with codes of either kind whose noise is read back too, and its compiled step."""
    c = small(
        infogan__categorical=(3,), infogan__continuous=2, infogan__reconstruct_z=True, infogan__learning_rate=1e-3
    )
    gan, state, hyper = game(c)
    return gan, state, hyper, jax.jit(lambda *arguments: info_step(gan, *arguments))


def test_info_step_moves_both_networks_and_its_own_optimizer_alone(informed, key):
    _gan, state, hyper, step = informed
    new, metrics = step(state, first(batches(1)), key, hyper)
    kernels = [params["Dense_0"]["kernel"] for params in (new.generator.params, new.discriminator.params)]
    assert moved(
        kernels, [params["Dense_0"]["kernel"] for params in (state.generator.params, state.discriminator.params)]
    )
    still = [
        (net.generator.stats, net.generator.opt_state, net.discriminator.stats, net.discriminator.opt_state, net.ema)
        for net in (new, state)
    ]
    assert same(*still) and new.step == state.step
    assert same(new.discriminator.params["Dense_1"], state.discriminator.params["Dense_1"])  # of the logit
    assert moved(new.discriminator.params["head_codes"], state.discriminator.params["head_codes"])
    assert int(new.aux["info"][0].count) == 1
    assert metrics.keys() == {"info/categorical", "info/continuous", "info/z"}


def test_info_step_learns_to_read_codes_and_noise(informed, key):
    gan, state, hyper, step = informed
    assert gan.input_dim == 3 + 5 and gan.codes.outputs == 5 + 3
    hyper = hyper.replace(info_optim=hyper.info_optim.replace(learning_rate=jnp.float32(0.02)))
    losses = []
    for _ in range(60):
        state, metrics = step(state, first(batches(1)), key, hyper)
        losses.append(sum(map(float, metrics.values())))
    assert losses[-1] < 0.3 * losses[0]


def test_info_step_obeys_its_weight_and_rate(informed, key):
    _gan, state, hyper, step = informed
    for still in (
        hyper.replace(info_weight=jnp.zeros(())),
        hyper.replace(info_optim=hyper.info_optim.replace(learning_rate=jnp.zeros(()))),
    ):
        new, _ = step(state, first(batches(1)), key, still)
        assert same((new.generator, new.discriminator), (state.generator, state.discriminator))
    assert_allclose(hyper.info_optim.learning_rate, 1e-3)
    assert_allclose(game(small(infogan__continuous=1))[2].info_optim.learning_rate, 2e-4)  # the generator's


@pytest.mark.slow
def test_info_step_leaves_a_clipped_discriminator_within_its_bounds(key):
    clipped = {"model__d_spectral_norm": False, "loss__name": "wasserstein", "regularizers__clip": 0.01}
    gan, state, hyper = game(small(infogan__categorical=(3,), **clipped))
    new, _ = jax.jit(lambda *arguments: info_step(gan, *arguments))(state, first(batches(1)), key, hyper)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(new.discriminator.params)) <= np.float32(0.01)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(new.generator.params)) > 0.01


def test_info_step_refuses_a_game_without_codes(key):
    gan, state, hyper = game(small())
    with pytest.raises(ValueError, match="no codes"):
        info_step(gan, state, first(batches(1)), key, hyper)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "expected"), [(0, np.eye(3)), (1, np.eye(2)), (3, [[-1.0], [0.0], [1.0]])])
def test_sweep_moves_one_code_and_leaves_the_others(code, expected, key):
    drawn = np.asarray(draw(CODES, key, jnp.arange(4)))
    swept = np.asarray(sweep(CODES, jnp.asarray(drawn), code, 3)).reshape(4, len(expected), CODES.width)
    start = (0, 3, 5, 6)[code]
    columns = slice(start, start + np.shape(expected)[1])
    assert_array_equal(swept[:, :, columns], np.broadcast_to(expected, (4, *np.shape(expected))))
    rest = np.delete(swept, np.arange(CODES.width)[columns], axis=2)
    assert_array_equal(
        rest, np.repeat(np.delete(drawn, np.arange(CODES.width)[columns], axis=1)[:, None], len(expected), 1)
    )
