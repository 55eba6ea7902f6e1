from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.config.config import Config
from jaxgan.errors import UserError
from jaxgan.evaluation import conditioning
from jaxgan.sampling.sampler import Sampler
from jaxgan.steps.forward import g_inputs
from jaxgan.steps.gan import build, init
from jaxgan.steps.randomness import seed_keys
from jaxgan.techniques.infogan import values

TINY = {
    "data": {"name": "digits", "image_size": 8},
    "model": {"architecture": "mlp", "z_dim": 3, "base_features": 4, "d_spectral_norm": False},
}


class Judge:
    """Reads the class that is written into an image's corner."""

    accuracy = 0.75

    def __call__(self, images):
        classes = np.round(images[:, 0, 0, 0]).astype(int) % 10
        return images.reshape(len(images), -1), np.eye(10)[classes]


@pytest.fixture
def sampler(monkeypatch):
    """A function that makes a sampler whose image i shows `shown(i)`; the judge is `Judge`."""

    def make(shown, present=(), **sections) -> Sampler:
        config = Config.from_dict({**TINY, **sections, "model": {**TINY["model"], **sections.get("model", {})}})
        gan = build(config, (8, 8, 1), num_classes=10)
        state = jax.jit(partial(init, gan))(seed_keys(0).init)
        made = Sampler(config, gan, state, present=present)

        def sample(num, seed=0):
            images = np.random.default_rng(seed).normal(size=(num, 8, 8, 1))
            images[:, 0, 0, 0] = [shown(i) for i in range(num)]
            return images

        monkeypatch.setattr(made, "sample", sample)
        return made

    real = lambda train, test, output: Judge()  # noqa: E731
    monkeypatch.setattr(conditioning, "load_classifier", real)
    return make


CLASSES = {"model": {"g_conditioning": "concat", "d_conditioning": "projection"}}


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 0.0)])
def test_class_obedience_compares_with_the_label_asked_for(sampler, shift, expected):
    found = conditioning.class_obedience(sampler(lambda i: (i + shift) % 10, **CLASSES), per_class=4)
    assert found.accuracy.overall == expected
    assert found.judge == 0.75


def test_class_obedience_goes_through_the_classes_there_are(sampler):
    found = conditioning.class_obedience(sampler(lambda i: (7, 2)[i % 2], present=[7, 2], **CLASSES), per_class=4)
    assert found.accuracy.per_class == {2: 1.0, 7: 1.0}
    assert set(found.diversity.per_class) == {2, 7}


@pytest.mark.slow
def test_code_meaning_finds_the_class_of_each_code(sampler):
    made = sampler(None, infogan={"categorical": [10]})
    drawn = g_inputs(made.gan, seed_keys(0).sample, jnp.arange(200))[:, made.gan.z_dim :]
    codes = np.asarray(values(made.gan.codes, drawn)[0])
    made.sample = sampler(lambda i: 9 - codes[i], infogan={"categorical": [10]}).sample
    found = conditioning.code_meaning(made, num=200)
    assert found.assignment.accuracy == 1.0
    assert found.assignment.classes == {code: 9 - code for code in range(10)}


def test_evaluation_refuses_runs_without_classes_or_codes(sampler):
    plain = sampler(lambda i: 0)
    with pytest.raises(UserError, match="not conditioned on classes"):
        conditioning.class_obedience(plain)
    with pytest.raises(UserError, match="no categorical code"):
        conditioning.code_meaning(plain)
