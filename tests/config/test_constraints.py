"""What a configuration may not combine, and the sentence that says so."""

import pytest
from support.games import config

from jaxgan.config.constraints import check_groups, coupled_terms, groups_in_batch, without_effect
from jaxgan.errors import UserError
from jaxgan.steps.gan import build

CONDITIONAL = {"model__g_conditioning": "concat", "model__d_conditioning": "auxiliary"}
CLASS_FAKE = {"model__g_conditioning": "concat", "model__d_conditioning": "class_fake"}

# Of two keys that do not go together; `test_config.WRONG` has what is wrong by itself.
REFUSED = [
    (
        dict(model__d_conditioning="projection"),
        r"d_conditioning 'projection' judges .* set model.g_conditioning to concat or batch_norm",
    ),
    (
        dict(model__g_conditioning="concat"),
        r"g_conditioning is 'concat', but .* set model.d_conditioning to one of concat, class_fake, auxiliary, proj",
    ),
    (
        dict(model__g_conditioning="batch_norm", model__d_conditioning="concat", model__g_batch_norm=False),
        r"'batch_norm' needs batch norm in G: set model.g_batch_norm to True",
    ),
    (dict(model__minibatch_stddev=1), r"model.minibatch_stddev is 1: it must be 0 or at least 2"),
    (dict(model__packing=0), r"model.packing is 0: it must be at least 1"),
    (dict(model__packing=2, **CONDITIONAL), r"model.packing is 2, but examples judged as one would need one class"),
    (dict(model__packing=2, infogan__continuous=1), r"model.packing is 2: codes cannot be read from .* judged as one"),
    (dict(model__packing=2, model__minibatch_stddev=2), r"model.packing is 2 and model.minibatch_stddev 2: both"),
    (dict(model__packing=3), r"train.batch_size is 8: it must be a multiple of 3 \(model.packing 3\)"),
    (
        dict(train__accumulate=4, model__minibatch_stddev=4),
        r"batch_size is 8: .* multiple of 16 \(train.accumulate 4 x model.minibatch_stddev 4\)",
    ),
    (dict(train__accumulate=0), r"train.accumulate is 0: it must be at least 1"),
    (dict(train__accumulate=8), r"train.batch_size is 8 and train.accumulate 8: batch norm needs at least 2 examples"),
    (
        dict(train__batch_size=4, model__packing=4, model__d_batch_norm=True),
        r"train.batch_size is 4 and model.packing 4: batch norm needs at least 2 packs of 4 examples at once",
    ),
    (
        dict(train__accumulate=2, model__packing=4, model__d_batch_norm=True),
        r"train.batch_size is 8 and train.accumulate 2 and model.packing 4: .* at least 2 packs of 4 examples at once",
    ),
    (
        dict(train__accumulate=2, loss__name="relativistic_average"),
        r"train.accumulate is 2, but loss.name 'relativistic_average' needs the whole batch at once",
    ),
    (
        dict(train__accumulate=2, regularizers__dragan=1.0, regularizers__lecam=1.0, regularizers__feature_matching=1),
        r"but regularizers.dragan and regularizers.lecam and regularizers.feature_matching need the whole batch",
    ),
    (
        dict(
            regularizers__interval=2,
            regularizers__r1=1.0,
            train__steps_per_call=2,
            train__log_every=2,
            train__profile_at=0,
        ),
        r"regularizers.interval is 2 and train.steps_per_call 2: .* set one of them to 1",
    ),
    (
        dict(
            model__g_batch_norm=False,
            train__steps_per_call=2,
            train__log_every=2,
            monitor__histograms_every=3,
        ),
        r"monitor.histograms_every is 3: it must be a multiple of train.steps_per_call, 2",
    ),
    (dict(loss__name="hinge", **CLASS_FAKE), r"loss.name is 'hinge', but with .*'class_fake' .* 'non_saturating'"),
    (dict(targets__smoothing=0.1, **CLASS_FAKE), r"targets.smoothing would move .* 'class_fake' the targets are class"),
    (dict(targets__traced=True, **CLASS_FAKE), r"targets.traced would move .* the targets are classes"),
    (dict(infogan__categorical=(1,)), r"infogan.categorical is \(1,\): each entry must be at least 2"),
    (dict(infogan__continuous=-1), r"infogan.continuous is -1: it must be at least 0"),
    (dict(infogan__continuous=1, infogan__distribution="gauss"), r"infogan.distribution 'gauss' .*uniform, normal"),
    (dict(infogan__continuous=1, infogan__weight=-1), r"infogan.weight is -1: it must be at least 0"),
    (dict(infogan__continuous=1, infogan__learning_rate=-1), r"infogan.learning_rate is -1: it must be at least 0"),
    (dict(infogan__reconstruct_z=True), r"infogan.reconstruct_z is True, but there are no codes"),
    (dict(loss__class_weight=0.5), r"loss.class_weight is 0.5, but only .*'auxiliary' has a class loss"),
    (dict(loss__class_weight=0.5, **CLASS_FAKE), r"loss.class_weight is 0.5, but only .*'auxiliary' has a class loss"),
    (dict(targets__traced=True, loss__name="hinge"), r"traced is True, but .* 'hinge' has no target .*non_saturating"),
    (
        dict(loss__g_adversarial_weight=0.0, loss__class_weight=0.0, **CONDITIONAL),
        r"leaves the generator without a los",
    ),
    (dict(loss__g_adversarial_weight=0.0, **CLASS_FAKE), r"leaves the generator without .* or loss.class_weight with"),
    (dict(loss__class_weight=-1), r"loss.class_weight is -1: it must be at least 0"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED, ids=lambda x: x[:40] if isinstance(x, str) else "")
def test_combination_is_refused_with_one_sentence(values, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        config(**values)
    assert "\n" not in str(error.value)


# The nearest to what is refused that is not.
ALLOWED = [
    dict(model__packing=4, train__accumulate=2),
    dict(model__packing=4, model__d_batch_norm=True),
    dict(loss__g_adversarial_weight=0.0, **CONDITIONAL),
    dict(loss__class_weight=0.5, **CONDITIONAL),
    dict(targets__traced=True, targets__instance_noise_steps=9, loss__name="hinge"),
    dict(targets__traced=True),
    dict(model__minibatch_stddev=4, infogan__categorical=(2, 3), **CONDITIONAL),
    dict(train__accumulate=8, model__g_batch_norm=False),
    dict(train__accumulate=4, regularizers__r1=1.0, regularizers__wgan_gp=1.0, infogan__continuous=1),
    dict(regularizers__interval=2, regularizers__dragan=1.0),
    dict(augment__policy=("color",), augment__ada=True, **CLASS_FAKE),
]


@pytest.mark.parametrize("values", ALLOWED, ids=str)
def test_combination_is_allowed(values):
    config(**values)


def test_groups_are_not_divided_among_devices():
    c = config(train__batch_size=24, train__accumulate=2, model__packing=3)
    assert groups_in_batch(c) == 4
    check_groups(c, 4)
    with pytest.raises(
        UserError, match=r"must be a multiple of 48 \(train.accumulate 2 x model.packing 3 x 8 devices\)"
    ):
        check_groups(c, 8)


@pytest.mark.parametrize(
    ("values", "terms"),
    [
        (dict(regularizers__r1=1.0, regularizers__wgan_gp=1.0, loss__name="relativistic_paired"), []),
        (
            dict(regularizers__lecam=1.0, loss__name="relativistic_average"),
            ["loss.name 'relativistic_average'", "regularizers.lecam"],
        ),
    ],
    ids=["apart", "together"],
)
def test_coupled_terms_are_those_in_which_examples_meet(values, terms):
    assert coupled_terms(config(**values)) == terms


def test_build_refuses_conditioning_on_data_without_classes():
    with pytest.raises(UserError, match=r"g_conditioning is 'concat', but the data have no classes: it must be 'none'"):
        build(config(**CONDITIONAL), (8, 8, 1))


def test_build_refuses_augmentation_of_points_of_the_caller():
    with pytest.raises(UserError, match=r"augment.policy \('color',\) is for images, but the data are points"):
        build(config(augment__policy=("color",), model__output="linear"), (3,))


IDLE = {
    "model.g_kernel_sizes": dict(model__g_kernel_sizes=(3,), model__architecture="mlp"),
    "model.d_kernel_sizes": dict(model__d_kernel_sizes=(3,), model__architecture="mlp"),
    "model.embedding_dim": dict(model__embedding_dim=3),
    "infogan.distribution": dict(infogan__distribution="normal", infogan__categorical=(2,)),
    "infogan.weight": dict(infogan__weight=2.0),
    "infogan.learning_rate": dict(infogan__learning_rate=1e-3),
    "targets.instance_noise_steps": dict(targets__instance_noise_steps=3),
    "augment.p": dict(augment__p=0.5),
    "augment.ada_target": dict(augment__ada_target=0.5, augment__policy=("cutout",)),
    "augment.ada_kimg": dict(augment__ada_kimg=50.0),
    "augment.ada_interval": dict(augment__ada_interval=1),
    "regularizers.before_augmentation": dict(regularizers__before_augmentation=False, regularizers__r1=1.0),
    "monitor.max_attempts": dict(monitor__max_attempts=2),
    "g_optim.schedule_steps": dict(g_optim__schedule_steps=3),
    "d_optim.schedule_end": dict(d_optim__schedule_end=0.1),
}


@pytest.mark.parametrize("key", IDLE)
def test_a_key_that_nothing_reads_is_named_alone(key):
    (sentence,) = without_effect(config(**IDLE[key]))
    assert sentence.startswith(f"{key} is ") and sentence.endswith(", so that it has no effect.")


@pytest.mark.parametrize(
    "keys",
    [
        {},
        dict(model__g_kernel_sizes=(3,), model__architecture="dcgan", data__image_size=28),
        dict(model__embedding_dim=3, **CONDITIONAL),
        dict(infogan__weight=2.0, infogan__continuous=1, infogan__distribution="normal"),
        dict(targets__instance_noise_steps=3, targets__instance_noise=0.1),
        dict(augment__p=0.5, augment__policy=("cutout",)),
        dict(augment__p=0.5, augment__policy=("cutout",), augment__ada=True, augment__ada_kimg=50.0),
        dict(monitor__max_attempts=2, monitor__on_finding="roll_back"),
        dict(g_optim__schedule="linear", g_optim__schedule_steps=3, g_optim__schedule_end=0.1),
    ],
)
def test_a_key_that_is_read_is_not_named(keys):
    assert not list(without_effect(config(**keys)))
