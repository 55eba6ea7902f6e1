"""Three digits in three channels, 1,000 modes: the argument is how many images D judges as one (PacGAN).

After https://arxiv.org/abs/1712.04086, section 4.2, and its program: DCGAN with batch norm in both networks, z uniform,
128,000 stacks, 64 packs in a batch. Departures: stacks of the 4,000 embedded digits in place of 70,000, at 32 pixels,
half the width and one layer less, 25,000 updates in place of 100,000, learning rates that fall to 0, and for G one step
at twice D's rate in place of two.
Counted by `jaxgan.metrics.modes.count_stacked` in 26,000 samples, the digits by a classifier of the same data.
Published after 100,000 updates: 78.9 to 99 modes of 1,000 without packing, 1,000 and a KL of 0.06 with it.

Command: python -m jaxgan.main --config=configs/stacked_digits.py:2 --workdir=runs/stacked2
Result: by `python -m benchmarks.modes --only="stacked 1,stacked 2" --seeds=0,1`, 53 to 82 minutes a run on one core beside
other jobs, packing does not help here. Every sample counted, without it seeds 0 and 1 have 1,000 and 994 modes and a KL
of 0.26 and 0.32; counted where the classifier is 90 % sure of each digit, which it is of 11 % of the samples, 768 and 729
modes, 0.57 and 0.70. With packing, seed 0 has 998 modes and 0.28 at step 20,000 (sure of 6 %: 639, 0.70), and one mode at
the end: D tells all examples apart, which the doctor reports from step 9,500 on, and from 21,000 G makes all samples
alike. Seed 1 with packing was not run whole.
10,000 steps, all of them with falling rates, seed 10, every sample counted: without packing 982 modes and a KL of 0.41,
with it 1,000 and 0.22; where the classifier is sure (10 % and 6 %) 634 modes and 0.83, with packing 653 and 0.66.
At 28 pixels, 2e-4 for both and 25,000 steps, seeds 0 and 1, every sample counted: 997 and 1,000 modes, KL 0.28 and
0.27; with packing 1,000 and 998, 0.21 and 0.25. Where the classifier is sure (12 % and 9 %): 755 and 766 modes, KL 0.66
and 0.62; with packing 754 and 707, 0.61 and 0.66.
"""

from jaxgan import defaults
from jaxgan.checks import one_of

VARIANTS = ("1", "2")


def get_config(packing=VARIANTS[0]):
    one_of("the argument", packing, VARIANTS)
    config = defaults()
    config.data.source, config.data.name = "stacked", "mnist"
    config.data.image_size = 32  # three layers; 28 pixels would have two, the program has four
    config.model.packing = int(packing)
    config.model.z_dim, config.model.z_distribution = 100, "uniform"
    config.model.base_features = 32
    for optim in (config.g_optim, config.d_optim):
        optim.schedule, optim.schedule_steps = "linear", 25_000
    config.train.num_steps = 25_000
    config.train.batch_size = 64 * int(packing)  # D judges 64 packs
    config.train.log_every = 500
    config.train.sample_every = 2500
    config.train.checkpoint_every = 5000
    return config
