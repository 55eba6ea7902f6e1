"""What is particular to `sagan` and `biggan`; the contract of all architectures is in test_architectures.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.architectures.biggan import Generator
from jaxgan.architectures.sagan import Generator as Sagan
from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.steps.gan import build, init

NAMES = ["biggan", "sagan"]


def state(name, size=128, num_classes=0, infogan=(), **model):
    if num_classes:
        model |= {"g_conditioning": "batch_norm", "d_conditioning": "projection"}
    model = {"architecture": name, "base_features": 2, "g_spectral_norm": True, **model}
    config = Config.from_dict({"data": {"image_size": 0}, "model": model, "infogan": dict(infogan)})
    gan = build(config, (size, size, 3), num_classes=num_classes)
    return jax.eval_shape(partial(init, gan), jax.random.key(0))


def count(*trees) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(trees))


# Brock et al. 2019, https://arxiv.org/abs/1809.11096, table 1: millions of parameters of both networks together on
# ImageNet at 128 pixels. The figures are met if the shared embedding is left out; with its 128,000 both would be 0.1
# more. The table's other rows are networks between SAGAN and BigGAN.
@pytest.mark.slow
@pytest.mark.parametrize(("base_features", "millions"), [(96, 158.3), (64, 71.3)])
def test_biggan_has_as_many_parameters_as_its_paper_says(base_features, millions):
    s = state("biggan", num_classes=1000, base_features=base_features, z_dim=120)
    embedding = count(s.generator.params["embedding"])
    assert embedding == 1000 * 128
    assert round((count(s.generator.params, s.discriminator.params) - embedding) / 1e6, 1) == millions


# The same table's SAGAN, whose attention is at 64x64 where SAGAN's own paper has its best at 32x32. An attention layer
# of c channels has 5/4 c^2 weights, and c is 4 (G) and 2 (D) times base_features at 32x32, 2 and 1 times at 64x64.
@pytest.mark.slow
@pytest.mark.parametrize(("base_features", "millions"), [(64, 81.5), (96, 173.5)])
def test_sagan_has_as_many_parameters_as_the_biggan_paper_says(base_features, millions):
    s = state("sagan", num_classes=1000, base_features=base_features)
    finer = (2**2 + 1**2 - 4**2 - 2**2) * 5 * base_features**2 // 4
    assert round((count(s.generator.params, s.discriminator.params) + finer) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("name", "size", "g_channels", "d_channels"),
    [
        ("sagan", 128, 8, 4),  # 32x32
        ("sagan", 64, 4, 2),  # 32x32
        ("sagan", 32, 4, 2),  # 16x16
        ("biggan", 128, 4, 2),  # 64x64
        ("biggan", 64, 8, 2),  # 32x32
    ],
)
def test_attention_is_at_the_maps_of_the_paper(name, size, g_channels, d_channels):
    s = state(name, size)
    for net, channels in ((s.generator, g_channels), (s.discriminator, d_channels)):
        assert sum(key.startswith("SelfAttention") for key in net.params) == 1
        assert net.params["SelfAttention_0"]["o"]["kernel"].shape[-1] == channels


def test_biggan_for_32_pixels_has_no_attention():
    s = state("biggan", 32)
    assert not [key for net in (s.generator, s.discriminator) for key in net.params if "Attention" in key]


def biases(net):
    """Numbers of the blocks whose last convolution has a bias."""
    return [i for i in range(6) if "bias" in net.params.get(f"Block_{i}", {}).get("Conv_1", {})]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "g", "d"),
    [
        ("sagan", 128, [0, 1, 2], [0, 1]),  # attention at 32x32
        ("sagan", 32, [0, 1], [0]),
        ("biggan", 128, [0, 1, 2, 3], [0]),  # at 64x64
        ("biggan", 64, [0, 1, 2], [0]),  # at 32x32
        ("biggan", 32, [], []),  # none
    ],
)
def test_blocks_before_attention_have_biases_beside_batch_norm(name, size, g, d):
    s = state(name, size, d_batch_norm=True, d_spectral_norm=False)
    assert (biases(s.generator), biases(s.discriminator)) == (g, d)


def test_a_bias_before_attention_changes_images_and_without_attention_batch_norm_subtracts_it(key):
    g = Sagan((32, 32, 1), 4, spectral_norm=False)
    z = jax.random.normal(key, (4, 8))
    variables = jax.jit(partial(g.init, train=True))(key, z)

    @jax.jit
    def images(gamma, bias):
        params = {**variables["params"], "SelfAttention_0": {**variables["params"]["SelfAttention_0"], "gamma": gamma}}
        block = params["Block_0"]
        params["Block_0"] = {**block, "Conv_1": {**block["Conv_1"], "bias": bias * jnp.arange(8.0)}}
        return g.apply({**variables, "params": params}, z, train=True, mutable=["batch_stats"])[0]

    change = {gamma: float(abs(images(gamma, 1.0) - images(gamma, 0.0)).max()) for gamma in (0.0, 1.0)}
    assert change[0.0] < 1e-4 and change[1.0] > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_both_networks_is_spectrally_normalized_but_the_embedding(name):
    s = state(name, num_classes=3)
    exempt = {"biggan": ("embedding",), "sagan": ("gamma", "beta")}[name]  # class embeddings of the generator
    for net in (s.generator, s.discriminator):
        kernels = [
            path
            for path, _ in jax.tree_util.tree_leaves_with_path(net.params)
            if path[-1].key == "kernel" and not (net is s.generator and path[-2].key in exempt)
        ]
        assert 2 * len(kernels) == len(jax.tree.leaves(net.stats["spectral_stats"]))


def test_each_block_of_biggan_sees_its_part_of_z_and_the_embedding():
    params = state("biggan", num_classes=3, z_dim=20, embedding_dim=7).generator.params
    parts = [4, 4, 3, 3, 3, 3]  # of 20, as equal as can be
    assert params["Dense_0"]["kernel"].shape[0] == parts[0]
    for i, part in enumerate(parts[1:]):
        for norm in ("ConditionalBatchNorm_0", "ConditionalBatchNorm_1"):
            assert params[f"Block_{i}"][norm]["gamma"]["kernel"].shape[0] == 7 + part


def test_biggan_without_classes_keeps_its_hierarchy():
    params = state("biggan", z_dim=18).generator.params
    assert "embedding" not in params
    assert {params[f"Block_{i}"]["ConditionalBatchNorm_0"]["beta"]["kernel"].shape[0] for i in range(5)} == {3}


def test_biggan_without_batch_norm_puts_all_of_z_in_front():
    assert state("biggan", z_dim=18, g_batch_norm=False).generator.params["Dense_0"]["kernel"].shape[0] == 18


@pytest.mark.parametrize("codes", [0, 3])
def test_biggan_refuses_too_short_a_z(codes):
    with pytest.raises(UserError, match=r"z_dim is 5, but biggan splits z into 6 parts"):
        state("biggan", infogan={"continuous": codes}, z_dim=5)


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "embedding"), [(0, 0), (3, 7)])
def test_each_part_of_biggans_noise_ends_in_all_codes(num_classes, embedding):
    codes = {"categorical": [3], "continuous": 1}
    params = state("biggan", 32, num_classes, codes, z_dim=6, embedding_dim=7).generator.params
    parts = [2, 2, 1, 1]  # of the 6 numbers of noise
    assert params["Dense_0"]["kernel"].shape[0] == parts[0] + 4
    for i, part in enumerate(parts[1:]):
        assert params[f"Block_{i}"]["ConditionalBatchNorm_0"]["gamma"]["kernel"].shape[0] == embedding + part + 4


def test_every_part_of_biggan_hears_the_codes_and_its_own_noise_alone():
    g, z = Generator((32, 32, 1), 1, codes=2), jnp.arange(6.0)[None]
    for i, part in enumerate(g._parts(z, 3)):
        assert part.tolist() == [[i, 4, 5]]
    assert [part.tolist() for part in g.clone(codes=0)._parts(z, 2)] == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_biggan_starts_orthogonal(key):
    g = Generator((32, 32, 1), 1, spectral_norm=False, num_classes=3, conditioning="batch_norm", embedding_dim=5)

    def kernels(key):  # one of each kind
        params = g.init(key, jnp.zeros((2, 8)), jnp.zeros(2, jnp.int32), train=True)["params"]
        block = params["Block_0"]
        layers = params["Dense_0"], params["embedding"], block["Conv_0"], block["ConditionalBatchNorm_0"]["gamma"]
        return [layer["kernel"] for layer in layers]

    for kernel in jax.jit(kernels)(key):
        matrix = np.asarray(kernel).reshape(-1, kernel.shape[-1])
        assert_allclose(np.linalg.svd(matrix, compute_uv=False), 1, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_other_shapes_are_refused(name):
    with pytest.raises(UserError, match=rf"{name}' cannot make examples of shape 48x48x3: .* 32, 64, 128,"):
        state(name, 48)
