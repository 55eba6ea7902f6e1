"""Only 200 digits: with DiffAugment (`fixed`), with its probability adapted as in ADA (`ada`), and without (`none`).

Command: python -m jaxgan.main --config=configs/diffaugment_digits.py:fixed --workdir=runs/diffaugment
Result: not yet run.
"""

from jaxgan import defaults
from jaxgan.checks import one_of

VARIANTS = ("fixed", "ada", "none")


def get_config(augmentation=VARIANTS[0]):
    one_of("the argument", augmentation, VARIANTS)
    config = defaults()
    config.data.max_examples = 200
    if augmentation != "none":
        config.augment.policy = ("translation", "cutout")  # color would only change the gray of one channel
        config.augment.ada = augmentation == "ada"
    config.augment.ada_kimg = 50.0  # a run of 96,000 images, where the paper's 500 goes with 25 million
    config.model.z_dim = config.model.base_features = 32
    config.train.num_steps = 3000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
