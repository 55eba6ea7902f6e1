"""How all architectures take notice of classes, of the batch, and of further outputs."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.architectures import ARCHITECTURES, D_CONDITIONINGS, G_CONDITIONINGS
from jaxgan.architectures.mlp import Discriminator, Generator
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.steps.gan import build, init

SHAPES = {name: (32, 32, 3) for name in ARCHITECTURES} | {"dcgan": (28, 28, 3), "mlp": (8, 8, 1)}
K, B = 3, 4
LABEL = jnp.array([0, 1, 2, 1], jnp.int32)
# Every discriminator's, each generator's twice.
PAIRS = [("concat", "concat"), ("batch_norm", "class_fake"), ("concat", "auxiliary"), ("batch_norm", "projection")]
HEADS = {"class_fake": {"class_fake": (B, K + 1)}, "auxiliary": {"class": (B, K)}}


def conditional(name, g="concat", d="projection", dtype="float32", num_classes=K, **model):
    lacks = dict.fromkeys(ARCHITECTURES[name].lacks, False)
    g = "concat" if "g_batch_norm" in lacks and g == "batch_norm" else g
    model = {"architecture": name, "base_features": 2, "g_conditioning": g, "d_conditioning": d, **lacks, **model}
    config = Config.from_dict({"data": {"image_size": 0}, "model": model, "train": {"dtype": dtype}})
    return build(config, SHAPES[name], num_classes=num_classes)


def shapes(gan):
    return jax.eval_shape(partial(init, gan), jax.random.key(0))


@cache
def mlp(conditioning="none", spectral_norm=False, **options):
    """A discriminator of points with random parameters, all of them other than zero, and its output on `POINTS`."""
    d = Discriminator(4, (1,), (), spectral_norm, num_classes=K, conditioning=conditioning, **options)
    variables = jax.jit(partial(d.init, train=True))(jax.random.key(0), POINTS, LABEL)
    rng = np.random.RandomState(1)
    params = jax.tree.map(lambda p: np.asarray(p) + rng.randn(*p.shape).astype(np.float32), variables["params"])
    return d, {**variables, "params": params}


POINTS = jnp.asarray(np.random.RandomState(0).randn(B, 2).astype(np.float32))


def run(d, variables, x=POINTS, label=LABEL):
    return jax.tree.map(np.asarray, jax.jit(partial(d.apply, train=False))(variables, x, label))


def test_the_pairs_are_all_there_are():
    assert {g for g, _ in PAIRS} == set(G_CONDITIONINGS) - {"none"}
    assert {d for _, d in PAIRS} == set(D_CONDITIONINGS) - {"none"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("g", "d", "dtype"), [(*p, t) for p, t in zip(PAIRS, ["float32", "bfloat16"] * 2, strict=True)]
)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_conditional_architecture_makes_and_judges_its_shapes(name, g, d, dtype):
    gan = conditional(name, g, d, dtype)
    state = shapes(gan)
    z = jax.ShapeDtypeStruct((B, gan.z_dim), jnp.float32)
    images = jax.eval_shape(partial(gan.generator.apply, train=False), state.generator.variables, z, LABEL)
    assert images.shape == (B, *gan.shape)
    out = jax.eval_shape(partial(gan.discriminator.apply, train=False), state.discriminator.variables, images, LABEL)
    assert out.logits.shape == (B,) and {name: x.shape for name, x in out.heads.items()} == HEADS.get(d, {})
    assert {x.dtype for x in jax.tree.leaves((images, out, state.generator.params, state.discriminator.params))} == {
        jnp.dtype("float32")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_conditional_architecture_has_the_layers_of_its_conditioning(name):
    def embedded(net):  # layers with one row for each class
        kernels = jax.tree_util.tree_leaves_with_path(net.params)
        return {path[-2].key for path, kernel in kernels if kernel.ndim == 2 and kernel.shape[0] == K}

    states = [shapes(conditional(name, g, d)) for g, d in PAIRS]
    assert embedded(states[0].generator) == {"embedding"}
    by_batch_norm = {"biggan": {"embedding"}, "r3gan": {"embedding"}}.get(name, {"gamma", "beta"})
    assert embedded(states[1].generator) == by_batch_norm
    assert [embedded(s.discriminator) for s in states] == [{"embedding"}, set(), set(), {"projection"}]
    assert ["class_fake" in s.discriminator.params for s in states] == [False, True, False, False]
    assert ["class" in s.discriminator.params for s in states] == [False, False, True, False]
    assert not embedded(shapes(conditional(name, "none", "none")).generator)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_without_conditioning_has_no_more_parameters_where_there_are_classes(name):
    with_classes, without = (conditional(name, "none", "none", num_classes=n) for n in (K, 0))
    assert (with_classes.generator, with_classes.discriminator) == (without.generator, without.discriminator)
    assert with_classes.num_classes == 0


@pytest.mark.parametrize(("g", "d"), [("concat", "projection"), ("batch_norm", "concat")])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_conditional_architecture_refuses_to_do_without_labels(name, g, d):
    gan = conditional(name, g, d)
    for net, x in ((gan.generator, (B, gan.z_dim)), (gan.discriminator, (B, *gan.shape))):
        x = jax.ShapeDtypeStruct(x, jnp.float32)
        with pytest.raises(UserError, match="needs labels"):
            jax.eval_shape(partial(net.init, train=True), jax.random.key(0), x)


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
def test_discriminators_logits_depend_on_the_label_of_their_own_example_only(conditioning):
    d, variables = mlp(conditioning)
    before, after = run(d, variables).logits, run(d, variables, label=LABEL.at[1].set(2)).logits
    assert abs(before[1] - after[1]) > 1e-3
    assert_allclose(np.delete(after, 1), np.delete(before, 1), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", ["concat", "batch_norm"])
def test_generators_examples_depend_on_their_own_label_only(conditioning):
    g = Generator((2,), 4, (1,), output="linear", batch_norm=True, num_classes=K, conditioning=conditioning)
    variables = jax.jit(partial(g.init, train=True))(jax.random.key(0), POINTS, LABEL)
    # Conditional batch norm starts the same for all classes.
    rng = np.random.RandomState(1)
    variables = jax.tree.map(lambda p: p + rng.rand(*p.shape).astype(np.float32), variables)
    before, after = run(g, variables), run(g, variables, label=LABEL.at[1].set(2))
    assert np.abs(before[1] - after[1]).min() > 1e-3
    assert_allclose(np.delete(after, 1, 0), np.delete(before, 1, 0), rtol=1e-6)


def test_projection_adds_the_product_of_embedding_and_features():
    d, variables = mlp("projection")
    out, params = run(d, variables), variables["params"]
    h, dense = out.features, params["Dense_1"]
    expected = h @ dense["kernel"][:, 0] + dense["bias"] + (params["projection"]["kernel"][LABEL] * h).sum(1)
    assert_allclose(out.logits, expected, rtol=1e-5)


@pytest.mark.slow
def test_projection_is_spectrally_normalized_where_the_discriminator_is():
    d, variables = mlp("projection", spectral_norm=True)
    kernel = variables["params"]["projection"]["kernel"]
    u, _, vt = np.linalg.svd(kernel.T)
    stats = {"SpectralNorm_0": {"u": jnp.asarray(u[:, 0]), "v": jnp.asarray(vt[0])}}
    variables = {**variables, "spectral_stats": {**variables["spectral_stats"], "projection": stats}}
    with_label, other = run(d, variables), run(d, variables, label=(LABEL + 1) % K)
    normalized = kernel / np.linalg.norm(kernel, 2)
    rows = normalized[LABEL] - normalized[(LABEL + 1) % K]
    assert_allclose(with_label.logits - other.logits, (rows * with_label.features).sum(1), rtol=1e-4, atol=1e-6)


def test_class_fakes_logits_are_those_of_being_real():
    d, variables = mlp("class_fake")
    out = run(d, variables)
    head = out.heads["class_fake"]
    dense = variables["params"]["class_fake"]
    assert_allclose(head, out.features @ dense["kernel"] + dense["bias"], rtol=1e-5)
    softmax = np.exp(head) / np.exp(head).sum(1, keepdims=True)
    assert_allclose(1 / (1 + np.exp(-out.logits)), softmax[:, :K].sum(1), rtol=1e-5)
    assert_allclose(out.logits, np.log(np.exp(head[:, :K]).sum(1)) - head[:, K], rtol=1e-5)


def test_auxiliary_classes_are_read_from_the_features_beside_the_logits():
    d, variables = mlp("auxiliary")
    out, params = run(d, variables), variables["params"]
    for got, layer in ((out.logits[:, None], "Dense_1"), (out.heads["class"], "class")):
        assert_allclose(got, out.features @ params[layer]["kernel"] + params[layer]["bias"], rtol=1e-5)


@pytest.mark.parametrize("conditioning", ["none", "class_fake"])
def test_further_heads_are_read_from_the_features(conditioning):
    d, variables = mlp(conditioning, heads=(("code", 2), ("angle", 1)))
    out, params = run(d, variables), variables["params"]
    assert set(out.heads) - {"class_fake"} == {"code", "angle"}
    for name, width in d.heads:
        layer = params[f"head_{name}"]
        assert out.heads[name].shape == (B, width)
        assert_allclose(out.heads[name], out.features @ layer["kernel"] + layer["bias"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("conditioning", D_CONDITIONINGS)
def test_discriminators_outputs_are_float32_where_the_rest_computes_in_bfloat16(conditioning, spectral_norm):
    d, variables = mlp(conditioning, spectral_norm, dtype=jnp.bfloat16, heads=(("code", 2),))
    out = run(d, variables)
    wide = run(d.clone(dtype=jnp.float32), variables)
    assert_array_equal(out.features, out.features.astype(jnp.bfloat16).astype(np.float32))
    assert np.abs(out.features - wide.features).max() > 0

    def layer(name):  # its kernel and bias
        kernel, stats = variables["params"][name]["kernel"], variables.get("spectral_stats", {}).get(name)
        if stats:
            u, v = (np.float64(stats["SpectralNorm_0"][x]) for x in "uv")
            kernel = kernel / (v @ kernel @ u)
        return np.float64(kernel), variables["params"][name].get("bias", 0)

    def read(name):
        kernel, bias = layer(name)
        return out.features @ kernel + bias

    expected = {"head_code": out.heads["code"]}
    expected |= {name: out.heads[name] for name in ("class", "class_fake") if name in out.heads}
    for name, found in expected.items():
        assert_allclose(found, read(name), rtol=1e-5, atol=1e-5)
    if conditioning != "class_fake":  # there the logits are of the head
        logits = read("Dense_1")[:, 0]
        if conditioning == "projection":
            logits += (layer("projection")[0][LABEL] * out.features).sum(1)
        assert_allclose(out.logits, logits, rtol=1e-5, atol=1e-5)


def test_large_logits_of_bfloat16_networks_differ():
    d, variables = mlp(dtype=jnp.bfloat16)
    shifted = {**variables["params"]["Dense_1"], "bias": np.float32([300])}  # where bfloat16 has steps of 2
    variables = {**variables, "params": {**variables["params"], "Dense_1": shifted}}
    x = jnp.asarray(np.random.RandomState(2).randn(64, 2).astype(np.float32)) / 10
    logits = run(d, variables, x, jnp.zeros(64, jnp.int32)).logits
    assert np.ptp(logits) < 20 and len(np.unique(logits)) > 32


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_has_further_heads(name):
    d = conditional(name).discriminator.clone(heads=(("code", 5),))
    out, _ = jax.eval_shape(
        partial(d.init_with_output, train=True), jax.random.key(0), jnp.zeros((B, *SHAPES[name])), LABEL
    )
    assert out.heads["code"].shape == (B, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_minibatch_stddev_is_mixed_into_the_last_maps(name):
    """By one more layer, which leaves them as many as they were."""
    parameters, widths = [], []
    for group in (0, B):
        gan = conditional(name, "none", "none", minibatch_stddev=group)
        variables = shapes(gan).discriminator.variables
        x = jax.ShapeDtypeStruct((2 * B, *gan.shape), jnp.float32)
        out = jax.eval_shape(partial(gan.discriminator.apply, train=False), variables, x)
        parameters.append(jax.tree.map(jnp.shape, variables["params"]))
        widths.append(out.features.shape)
    extra = parameters[1].pop("minibatch")
    assert extra["kernel"][0] == extra["kernel"][1] + 1 == extra["bias"][0] + 1
    assert parameters[0] == parameters[1] and widths[0] == widths[1]


@pytest.mark.slow
def test_minibatch_stddev_does_not_shift_all_logits_alike():
    """What it says of the same neighbors depends on the example."""
    d, variables = mlp(minibatch_stddev=2)
    pairs = jnp.stack([POINTS, POINTS + 3.0], axis=1).reshape(-1, POINTS.shape[1])
    apart = run(d, variables, pairs).logits[::2]
    alone = run(d, variables, jnp.repeat(POINTS, 2, axis=0)).logits[::2]
    assert np.ptp(apart - alone) > 1e-3


@pytest.mark.slow
def test_minibatch_stddev_never_mixes_the_halves_of_a_pass():
    d, variables = mlp(minibatch_stddev=2)
    real, fake = POINTS, POINTS * jnp.array([[1.0], [3.0], [0.0], [-2.0]])
    both = run(d, variables, jnp.concatenate([real, fake])).logits
    alone = np.concatenate([run(d, variables, x).logits for x in (real, fake)])
    assert_allclose(both, alone, rtol=1e-6)
    swapped = run(d, variables, real[jnp.array([0, 2, 1, 3])]).logits  # it does look at its neighbors
    assert np.abs(swapped[0] - both[0]) > 1e-3


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"g": "none"}, r"d_conditioning 'projection' judges .* set model.g_conditioning to concat or batch_norm"),
        ({"d": "none"}, r"g_conditioning is 'concat', .* set model.d_conditioning to one of concat, class_fake,"),
        (
            {"g": "batch_norm", "g_batch_norm": False},
            r"g_conditioning 'batch_norm' needs batch norm in G: set model.g_batch_norm to True",
        ),
        ({"g": "film"}, r"model.g_conditioning.*film"),
        ({"d": "film"}, r"model.d_conditioning.*film"),
        ({"embedding_dim": 0}, r"model.embedding_dim is 0"),
        ({"minibatch_stddev": 1}, r"model.minibatch_stddev is 1: it must be 0 or at least 2"),
        ({"minibatch_stddev": -4}, r"model.minibatch_stddev is -4"),
        ({"minibatch_stddev": 6}, r"train.batch_size is 64: it must be a multiple of 6 .model.minibatch_stddev 6."),
        ({"num_classes": 0}, r"model.g_conditioning is 'concat', but the data have no classes: .* give labels"),
        ({"num_classes": 1}, r"model.g_conditioning is 'concat', but the data have only one class"),
    ],
)
def test_what_makes_no_sense_is_refused(model, message):
    with pytest.raises(UserError, match=message):
        conditional("dcgan", **model)
