"""Adam's settings A to F, figure 4 of "Training GANs the right way", under spectral norm: the argument is which.

They are those of https://arxiv.org/abs/1802.05957, table 1, and bring their number of D steps along.

Command: python -m jaxgan.main --config=configs/adam_settings.py:C --workdir=runs/adam_c
Result: not yet run.
"""

from jaxgan import defaults
from jaxgan.checks import one_of

VARIANTS = tuple("CABDEF")


def get_config(preset=VARIANTS[0]):
    one_of("the argument", preset, VARIANTS)
    config = defaults()
    config.g_optim.preset = config.d_optim.preset = preset
    config.model.z_dim = config.model.base_features = 32
    config.train.num_steps = 2000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
