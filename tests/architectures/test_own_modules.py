"""Networks of a caller's own: what is used, and what is refused in a sentence before anything is compiled."""

import flax.linen as nn
import jax.numpy as jnp
import pytest
from support.games import small
from support.loops import Small

from jaxgan.architectures import DOutput
from jaxgan.errors import UserError
from jaxgan.steps.gan import build

SHAPE = (8, 8, 1)


def flat(x):
    return x.reshape(len(x), -1)


def images(z, size=8):
    return nn.Dense(size * size)(z).reshape(-1, size, size, 1)


def generator(function):
    """A module whose call with `train` is the function."""

    class Own(nn.Module):
        @nn.compact
        def __call__(self, z, *, train):
            return function(z, train)

    return Own()


class Patches(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return nn.Conv(1, (3, 3))(x)


class NoTrain(nn.Module):
    @nn.compact
    def __call__(self, z):
        return images(z)


class WantsLabel(nn.Module):
    @nn.compact
    def __call__(self, x, label, *, train):
        return nn.Dense(1)(flat(x))


class Synchronized(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train, axis_name="devices" if train else None)(flat(x))
        return nn.Dense(1)(x)


CALL = r"generator\(z: float32\[2, 3\], train=\.\.\.\)"
GENERATORS = {
    "too small": (
        generator(lambda z, train: images(z, 6)),
        rf"array of shape \(2, 8, 8, 1\), .* {CALL} returns float32\[2, 6, 6, 1\]",
    ),
    "a flat image": (generator(lambda z, train: nn.Dense(64)(z)), r"returns float32\[2, 64\]"),
    "a pair": (
        generator(lambda z, train: (images(z), z)),
        r"returns a tuple of float32\[2, 8, 8, 1\], float32\[2, 3\]",
    ),
    "whole numbers": (generator(lambda z, train: images(z).astype(jnp.int32)), r"float array .* int32\[2, 8, 8, 1\]"),
    "wrong in evaluation alone": (
        generator(lambda z, train: images(z)[:, : 8 if train else 6]),
        r"float32\[2, 6, 8, 1\]",
    ),
    "no train": (
        NoTrain(),
        rf"called as {CALL}, but NoTrain\.__call__ .*'train'.*`def __call__\(self, z, \*, train\)`",
    ),
    "dropout": (
        generator(lambda z, train: nn.Dropout(0.5, deterministic=not train)(images(z))),
        r"draws random numbers of its own, as dropout does.*deterministic=True",
    ),
    "no parameters": (generator(lambda z, train: jnp.zeros((len(z), 8, 8, 1))), r"Own has no parameters"),
    "a fault of its own": (
        generator(lambda z, train: images(z) @ jnp.ones((3, 1))),
        rf"Own fails when called as {CALL}: TypeError: .*",
    ),
    "a chain of layers": (
        nn.Sequential([nn.Dense(64)]),
        rf"Sequential fails when called as {CALL}: TypeError: .*unexpected keyword argument 'train'",
    ),
    "a class": (
        NoTrain,
        r"generator= must be an instance of flax.linen.Module, .*: pass an instance, such as NoTrain\(\)",
    ),
    "a function": (lambda z, train: z, r"instance of flax.linen.Module, not function: pass a module made with Flax"),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generator_of_the_caller_is_refused_in_a_sentence(name):
    module, message = GENERATORS[name]
    with pytest.raises(UserError, match=message) as caught:
        build(small(), SHAPE, generator=module)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def discriminator(function):
    class Own(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return function(x)

    return Own()


DISCRIMINATORS = {
    "patches": (
        Patches(),
        r"one logit for each example, .* shape \(2,\) or \(2, 1\), .* returns float32\[2, 8, 8, 1\]",
    ),
    "two classes": (discriminator(lambda x: nn.Dense(2)(flat(x))), r"returns float32\[2, 2\]"),
    "a mean over the batch": (discriminator(lambda x: nn.Dense(1)(flat(x)).mean()), r"returns float32\[\]"),
    "a dictionary": (discriminator(lambda x: {"logits": nn.Dense(1)(flat(x))}), r"returns a value of type dict"),
    "an output with wrong logits": (
        discriminator(lambda x: DOutput(nn.Dense(3)(flat(x)), x, {})),
        r"returns float32\[2, 3\]",
    ),
    "a label without classes": (
        WantsLabel(),
        r"WantsLabel\.__call__ .*'label'.*Labels are passed only where model.g_conditioning is",
    ),
}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminator_of_the_caller_is_refused_in_a_sentence(name):
    module, message = DISCRIMINATORS[name]
    with pytest.raises(UserError, match=message) as caught:
        build(small(), SHAPE, discriminator=module)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "module",
    [
        Small(),
        discriminator(lambda x: nn.Dense(1)(flat(x))[:, 0]),
        discriminator(lambda x: DOutput(nn.Dense(1)(flat(x)), flat(x), {})),
        Synchronized(),
    ],
    ids=["logits [B, 1]", "logits [B]", "DOutput", "synchronized batch norm"],
)
def test_discriminators_of_the_caller_that_are_fine(module):
    assert build(small(), SHAPE, "devices", discriminator=module).discriminator is module


def test_modules_of_the_caller_are_given_labels_where_the_configuration_has_classes():
    config = small(model__g_conditioning="concat", model__d_conditioning="concat")
    build(config, SHAPE, discriminator=WantsLabel(), num_classes=3)
    with pytest.raises(UserError, match=r"discriminator\(x: float32\[2, 8, 8, 1\], label: int32\[2\], train=\.\.\.\)"):
        build(config, SHAPE, discriminator=Small(), num_classes=3)


def test_a_discriminator_of_the_caller_is_checked_on_packed_examples():
    class OneChannel(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            assert x.shape[-1] == 1, "one channel only"
            return nn.Dense(1)(flat(x))

    build(small(), SHAPE, discriminator=OneChannel())
    with pytest.raises(UserError, match=r"x: float32\[2, 8, 8, 2\], .*AssertionError: one channel only"):
        build(small(model__packing=2), SHAPE, discriminator=OneChannel())
