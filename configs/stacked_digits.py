"""Three digits in three channels, 1,000 modes: the argument is how many images D judges as one (PacGAN).

After https://arxiv.org/abs/1712.04086, section 4.2, and its program: DCGAN with batch norm in both networks, z uniform,
128,000 stacks, 64 packs in a batch. Departures: stacks of the 4,000 embedded digits in place of 70,000, half the width,
25,000 updates in place of 100,000, and one G step for each D step in place of two.
Counted by `jaxgan.metrics.modes.count_stacked` in 26,000 samples, the digits by a classifier of the same data.
Published after 100,000 updates: 78.9 to 99 modes of 1,000 without packing, 1,000 and a KL of 0.06 with it.

Command: python -m jaxgan.main --config=configs/stacked_digits.py:2 --workdir=runs/stacked2
Result: by `python -m benchmarks.modes --only="stacked 1,stacked 2" --seeds=0,1`; 26 to 42 minutes a run on one core.
Every sample counted, as published: without packing 997 and 1,000 modes, KL 0.28 and 0.27; with it 1,000 and 998 modes,
KL 0.21 and 0.25. Only where the classifier is 90 % sure of each digit, which it is of 12 % of the samples without
packing and of 9 % with it (of 89 % of real stacks): 755 and 766 modes, KL 0.66 and 0.62; with packing 754 and 707, KL
0.61 and 0.66. So the plain game does not collapse here, and packing evens out its modes a little, for worse digits.
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
