import dataclasses
import fractions
import json
import pathlib

import numpy as np
import pytest

from jaxgan.config.config import KEYS, TYPES, Config, as_config, defaults, difference
from jaxgan.errors import UserError, shown


def with_values(**overrides):
    config = defaults()
    for key, value in overrides.items():
        section, _, name = key.partition("__")
        if name:
            config[section][name] = value
        else:
            config[section] = value
    return config


def test_config_defaults_hold_every_key_and_are_valid():
    config = defaults()
    for key in KEYS:
        section, _, name = key.partition(".")
        assert (name in config[section]) if name else (section in config)
    assert as_config(config) == Config()


def test_config_survives_json():
    config = as_config(with_values(data__classes=(3, 5), model__g_kernel_sizes=(5, 4), d_optim__preset="A"))
    again = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.model.g_kernel_sizes == (5, 4)


def test_config_takes_whole_numbers_for_fractions_and_one_number_for_a_tuple():
    config = as_config(with_values(g_optim__b1=0, model__d_kernel_sizes=5, data__classes=[1, 2]))
    assert config.g_optim.b1 == 0.0 and isinstance(config.g_optim.b1, float)
    assert config.model.d_kernel_sizes == (5,)
    assert config.data.classes == (1, 2)


def test_config_presets_give_what_is_left_open():
    config = as_config(with_values(g_optim__preset="B", d_optim__preset="A", d_optim__learning_rate=4e-4))
    assert (config.g_optim.learning_rate, config.g_optim.b1, config.g_optim.b2) == (1e-4, 0.5, 0.999)
    assert (config.d_optim.learning_rate, config.d_optim.b1, config.d_optim.b2) == (4e-4, 0.5, 0.9)
    assert config.train.d_steps_per_g_step == 5
    assert as_config(with_values(d_optim__preset="A", train__d_steps_per_g_step=2)).train.d_steps_per_g_step == 2


def test_config_augmentation_starts_at_1_or_at_0_where_it_adapts():
    plain = as_config(with_values(augment__policy="translation,cutout")).augment
    assert (plain.policy, plain.first_p) == (("translation", "cutout"), 1.0)
    assert as_config(with_values(augment__policy="color", augment__ada=True)).augment.first_p == 0.0
    assert as_config(with_values(augment__policy="color", augment__ada=True, augment__p=0.2)).augment.first_p == 0.2


def test_config_allows_noise_with_any_loss_and_clipping_without_spectral_norm():
    as_config(with_values(loss__name="hinge", targets__instance_noise=0.1, targets__instance_noise_steps=100))
    as_config(with_values(loss__name="wasserstein", regularizers__clip=0.01, model__d_spectral_norm=False))
    as_config(with_values(loss__g_adversarial_weight=0, regularizers__feature_matching=1))


FLOATS = [key for key in KEYS if TYPES[key] in (float, float | None)]


def set_key(key, value):
    config = defaults()
    section, _, name = key.rpartition(".")
    config[section][name] = value
    return as_config(config)


@pytest.mark.parametrize("key", FLOATS)
@pytest.mark.parametrize(
    "value",
    [True, 10**400, -(10**5000), 1e-40, -5e-324, 1e39, float("inf"), float("nan"), "1e-3", [1.0], 1j, b"1"],
    ids=shown,
)
def test_no_float_key_takes_what_float32_cannot_hold(key, value):
    with pytest.raises(UserError, match=rf"^{key} is .*: it must be ") as caught:
        set_key(key, value)
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


def test_bounds_hold_after_float32_has_rounded():
    for key in ("g_optim.b2", "train.ema_decay"):
        assert set_key(key, 1 - 1e-7)
        with pytest.raises(UserError, match=rf"{key} is .*: it must be .*less than 1; float32 rounds it to 1"):
            set_key(key, 1 - 1e-12)
    with pytest.raises(
        UserError, match=r"eval.stop_ratio is .*: it must be 0 or greater than 1; float32 rounds it to 1"
    ):
        set_key("eval.stop_ratio", 1 + 1e-12)


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [
        ("train.batch_size", np.int64(32), 32),
        ("train.batch_size", np.array(32, np.uint8), 32),
        ("g_optim.learning_rate", np.float32(0.5), 0.5),
        ("g_optim.learning_rate", np.int8(1), 1.0),
        ("g_optim.learning_rate", fractions.Fraction(1, 4), 0.25),
        ("model.d_spectral_norm", np.bool_(False), False),
        ("eval.inception_path", pathlib.Path("/a/b"), "/a/b"),
        ("train.init_from", np.str_("runs/a"), "runs/a"),
        ("data.classes", [np.int32(1), np.str_("2")], (1, "2")),
        ("data.classes", np.array([1, 2]), (1, 2)),
        ("data.classes", np.int64(3), (3,)),
        ("infogan.categorical", (np.int64(10), 3), (10, 3)),
    ],
    ids=repr,
)
def test_values_of_numpy_and_paths_become_plain(key, value, held):
    section, _, name = key.partition(".")
    config = set_key(key, value)
    found = getattr(getattr(config, section), name)
    assert found == held and type(found) is type(held)
    assert Config.from_dict(config.to_dict()) == config


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 1


# What is wrong, and what the one sentence must say: the field, the value, what is allowed.
WRONG = [
    (dict(model__architecture="dcgn"), r"model.architecture 'dcgn' .*dcgan, mlp.*Did you mean 'dcgan'"),
    (dict(loss__name="hinge_"), r"loss.name 'hinge_' .*Did you mean 'hinge'"),
    (dict(data__source="tdfs"), r"data.source 'tdfs' .*Did you mean 'tfds'"),
    (dict(train__num_steps=0), r"train.num_steps is 0: it must be at least 1"),
    (dict(train__num_steps=2.5), r"train.num_steps is 2.5: it must be a whole number"),
    (dict(train__num_steps=True), r"train.num_steps is True: it must be a whole number"),
    (dict(train__ema_decay=1.0), r"train.ema_decay is 1.0: .*less than 1"),
    (dict(train__order="both"), r"train.order 'both' .*d_first, g_first"),
    (dict(train__dtype="float16"), r"train.dtype 'float16' .*float32, bfloat16"),
    (dict(train__keep=0), r"train.keep is 0"),
    (dict(train__steps_per_call=0), r"train.steps_per_call is 0: it must be at least 1"),
    (dict(train__steps_per_call=3), r"train.num_steps is 10000: .* multiple of train.steps_per_call, 3"),
    (dict(train__steps_per_call=2, train__log_every=5), r"train.log_every is 5: .* multiple of .*, 2"),
    (dict(train__steps_per_call=8, train__log_every=8), r"train.sample_every is 500: .* multiple of .*, 8"),
    (dict(train__steps_per_call=5, train__checkpoint_every=12), r"train.checkpoint_every is 12: .* multiple of .*, 5"),
    (dict(train__steps_per_call=5, train__profile_at=7), r"train.profile_at is 7: .* multiple of .*, 5"),
    (dict(g_optim__eps=0), r"g_optim.eps is 0.*: it must be at least 1e-16"),
    (dict(d_optim__eps_root=-1e-8), r"d_optim.eps_root is -1e-08: it must be at least 0"),
    (dict(d_optim__b2=1), r"d_optim.b2 is 1: .*less than 1"),
    (dict(d_optim__preset="G"), r"d_optim.preset 'G' .*A, B, C, D, E, F"),
    (dict(g_optim__schedule_steps=10**10), r"g_optim.schedule_steps is 10000000000: .* at most 2147483647 in size"),
    (dict(model__channel_multipliers=(1, 2**31)), r"model.channel_multipliers is .*: .* at most 2147483647 in size"),
    (dict(g_optim__learning_rate=1e39), r"g_optim.learning_rate is 1e\+39: it must be at most 3.402823466e\+38"),
    (dict(loss__class_weight=10**40), r"loss.class_weight is 1.*: it must be at most 3.4028"),
    (dict(g_optim__learning_rate=float("nan")), r"g_optim.learning_rate is nan: it must be a finite number or None"),
    (dict(g_optim__schedule="cosine"), r"g_optim.schedule 'cosine' needs .*: set g_optim.schedule_steps"),
    (dict(g_optim__kind="adamax", g_optim__eps_root=1e-8), r"g_optim.eps_root .*adamax"),
    (dict(model__g_kernel_sizes=(6,)), r"model.g_kernel_sizes has 6: allowed are 3, 4, 5"),
    (dict(model__g_kernel_sizes=(4, 4, 4)), r"model.g_kernel_sizes has 3 entries, but dcgan at 28 pixels has 2"),
    (dict(model__channel_multipliers=(1, 2, 4)), r"model.channel_multipliers has 3 entries.* 2 layers"),
    (dict(model__channel_multipliers=(1, 0)), r"model.channel_multipliers is \(1, 0\): each entry must be at least 1"),
    (dict(model__z_distribution="gaussian"), r"model.z_distribution 'gaussian' .*normal, uniform"),
    (dict(train__profile_at=9998), r"train.profile_at is 9998: its 5 steps .*num_steps, 10000"),
    (dict(train__profile_at=9990, train__steps_per_call=10), r"train.profile_at is 9990: its 20 steps .*10000"),
    (dict(data__image_size=30), r"'dcgan' cannot make examples of shape 30x30x1: .*28, 32, 64, 128"),
    (dict(data__source="synthetic", data__name="ring"), r"synthetic data are points: set it to mlp"),
    (dict(data__source="synthetic", data__name="ring", model__architecture="mlp"), r"'tanh' is bounded"),
    (dict(data__source="folder", data__name=""), r"data.source 'folder' needs .*: set data.data_dir"),
    (dict(data__name=""), r"data.name is empty"),
    (dict(data__classes=(1.5,)), r"data.classes is \(1.5,\): it must be a tuple, each a whole number or a text"),
    (dict(data__on_bad_image="ignore"), r"data.on_bad_image 'ignore' .*error, skip"),
    (dict(data__horizontal_flip=1), r"data.horizontal_flip is 1: it must be True or False"),
    (dict(model__d_batch_norm=True, regularizers__r1=1.0), r"model.d_batch_norm couples"),
    (dict(regularizers__r1=-1.0), r"regularizers.r1 is -1.0"),
    (dict(regularizers__interval=0, regularizers__r1=1.0), r"regularizers.interval is 0: it must be at least 1"),
    (dict(regularizers__interval=16, regularizers__lecam=0.1), r"interval is 16, but there is no gradient penalty"),
    (
        dict(model__d_batch_norm=True, regularizers__wgan_gp=10, regularizers__dragan=10),
        r"gradients of regularizers.wgan_gp and regularizers.dragan are undefined",
    ),
    (dict(regularizers__clip=0.01), r"regularizers.clip is 0.01, but model.d_spectral_norm .*constrains nothing"),
    (dict(loss__g_adversarial_weight=0), r"g_adversarial_weight is 0, .*regularizers.feature_matching a weight"),
    (dict(loss__g_adversarial_weight=-1), r"loss.g_adversarial_weight is -1: it must be at least 0"),
    (dict(targets__smoothing=0.6), r"targets.smoothing is 0.6: it must be at least 0 and at most 0.5"),
    (dict(targets__soft_fake=-0.1), r"targets.soft_fake is -0.1: it must be at least 0 and at most 0.5"),
    (dict(targets__noisy_real=1.5), r"targets.noisy_real is 1.5: it must be at least 0 and at most 1"),
    (dict(targets__flip=1), r"targets.flip is 1: it must be True or False"),
    (dict(targets__smoothing=0.1, targets__soft_real=0.2), r"smoothing is 0.1 and targets.soft_real 0.2: both lower"),
    (dict(targets__instance_noise=0.1), r"targets.instance_noise is 0.1: set targets.instance_noise_steps"),
    (
        dict(loss__name="hinge", targets__smoothing=0.1, targets__flip=True),
        r"targets.smoothing and targets.flip .*'hinge' has none, .*minimax, non_saturating, least_squares",
    ),
    (dict(loss__name="relativistic_average", targets__noisy_fake=0.1), r"'relativistic_average' has none"),
    (dict(augment__policy=("color", "cutuot")), r"augment.policy 'cutuot' .*Did you mean 'cutout'"),
    (dict(augment__policy=("color", "color")), r"augment.policy is \('color', 'color'\): name each .* once"),
    (dict(augment__policy="color", augment__p=1.1), r"augment.p is 1.1: it must be at least 0 and at most 1"),
    (dict(augment__ada=True), r"augment.ada adapts .*augment.policy"),
    (
        dict(augment__policy="color", augment__ada=True, augment__ada_kimg=0),
        r"augment.ada_kimg is 0: .*greater than 0",
    ),
    (dict(augment__policy="color", augment__ada_target=2), r"augment.ada_target is 2: .*at most 1"),
    (
        dict(augment__policy="color", augment__ada=True, loss__name="wasserstein"),
        r"'wasserstein' only differences .*minimax, non_saturating, least_squares, hinge",
    ),
    (
        dict(
            data__source="synthetic",
            data__name="ring",
            model__architecture="mlp",
            model__output="linear",
            augment__policy="color",
        ),
        r"augment.policy \('color',\) is for images, but synthetic data are points",
    ),
    (dict(train__batch_size=1), r"train.batch_size is 1: batch norm"),
    (dict(seed=-1), r"seed is -1"),
    (dict(seed="a"), r"seed is 'a': it must be a whole number"),
    (dict(model=3), r"config section model is 3: it must be a dictionary"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=lambda x: x[:40] if isinstance(x, str) else "")
def test_config_refuses_with_one_sentence(values, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        as_config(with_values(**values))
    assert "\n" not in str(error.value)


def test_config_names_the_nearest_key_for_an_unknown_one():
    with pytest.raises(UserError, match=r"config key 'train.num_step' .*Did you mean 'train.num_steps'\?"):
        Config.from_dict({"train": {"num_step": 3}})
    with pytest.raises(AttributeError):
        defaults().train.num_step = 3


def test_config_difference_names_fields_and_lets_a_resume_change_what_it_may():
    old, new = Config(), as_config(with_values(loss__name="hinge", train__num_steps=7, train__log_every=3))
    assert difference(old.to_dict(), new.to_dict()) == ["loss.name: 'non_saturating' -> 'hinge'"]


def test_config_every_key_is_read_somewhere(root):
    """A key that nothing reads is a promise that nothing keeps."""
    source = "".join(
        path.read_text()
        for path in (root / "jaxgan").rglob("*.py")
        if path.parent.name != "config" or path.stem == "config"
    )
    for key in TYPES:
        name = key.rpartition(".")[2]
        assert f".{name}" in source or f'"{name}"' in source, key
