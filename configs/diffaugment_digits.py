"""Only 200 digits, with DiffAugment (`fixed`), with an adaptive probability as in ADA (`ada`), or without (`none`).

Command: python -m jaxgan.main --config=configs/diffaugment_digits.py:fixed --workdir=runs/diffaugment
Result: by `python -m benchmarks.experiments.articles`, seed 0, 2,000 samples, the classifier of the digits, against
those 200: `fixed` fd 18.2, precision 0.46, recall 0.37; `ada` 12.6, 0.53, 0.59; `none` 12.8, 0.50, 0.72. Augmentation
gains nothing in 3,000 steps: without it D's loss is 1.24, so D has hardly memorized the 200 digits.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

VARIANTS = ("fixed", "ada", "none")


def get_config(augmentation=VARIANTS[0]):
    one_of("the argument", augmentation, VARIANTS)
    config = defaults()
    config.data.max_examples = 200
    if augmentation != "none":
        config.augment.policy = ("translation", "cutout")  # color would only change the gray of one channel
    if augmentation == "ada":
        config.augment.ada = True
        config.augment.ada_kimg = 50.0  # a run of 96,000 images, where the paper's 500 goes with 25 million
    config.model.z_dim = config.model.base_features = 32
    config.train.num_steps = 3000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
