"""Three digits in three channels, 1,000 modes: the argument is how many images D judges as one (PacGAN).

After https://arxiv.org/abs/1712.04086, section 4.2, and its program: DCGAN with batch norm in both networks, z uniform,
128,000 stacks, 64 packs in a batch. Departures: stacks of the 4,000 embedded digits in place of 70,000, half the width,
25,000 updates in place of 100,000, and one G step for each D step in place of two.
Counted by `jaxgan.metrics.modes.count_stacked` in 26,000 samples, the digits by a classifier of the same data.

Command: python -m jaxgan.main --config=configs/stacked_digits.py:2 --workdir=runs/stacked2
Result: not yet run.
"""

from jaxgan import defaults
from jaxgan.checks import one_of

VARIANTS = ("1", "2")


def get_config(packing=VARIANTS[0]):
    one_of("the argument", packing, VARIANTS)
    config = defaults()
    config.data.source, config.data.name = "stacked", "mnist"
    config.model.packing = int(packing)
    config.model.z_dim, config.model.z_distribution = 100, "uniform"
    config.model.base_features = 32
    config.model.d_spectral_norm, config.model.d_batch_norm = False, True
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 2e-4, 0.5, 0.999
    config.train.num_steps = 25_000
    config.train.batch_size = 64 * int(packing)  # D judges 64 packs
    config.train.log_every = 500
    config.train.sample_every = 2500
    config.train.checkpoint_every = 5000
    return config
