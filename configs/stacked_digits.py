"""Three digits in three channels, 1,000 modes; the argument is the number of images that D judges as one (PacGAN).

After https://arxiv.org/abs/1712.04086, section 4.2, and its program: DCGAN, z uniform, 128,000 stacks, 64 packs in a
batch. Departures: stacks of the 4,000 embedded digits in place of 70,000, at 32 pixels, half the width and one layer
less, spectral norm in D in place of batch norm, one step of G in place of two, 25,000 updates in place of 100,000, and
learning rates that fall to 0.
Counted by `jaxgan.metrics.modes.count_stacked` in 26,000 samples, the digits by a classifier of the same data.
Published after 100,000 updates: 78.9 to 99 modes of 1,000 without packing, 1,000 and a KL of 0.06 with it.

Command: python -m jaxgan.main --config=configs/stacked_digits.py:2 --workdir=runs/stacked2
Result: seeds 0 and 1 after 25,000 steps. Counted where the classifier (99.0 % of held-out digits right) is 90 % sure of
each digit: without packing 779 and 724 modes and a KL of 0.50 and 0.55 (8.2 % and 6.8 % of the samples), with it 894
and 862, 0.32 and 0.36 (12.6 % and 11.2 %). Even shares would give as many samples as these 881 and 829 modes, and 962
and 946. Every sample counted: 1,000 modes in all four runs, and a KL of 0.160 and 0.139, with packing 0.100 and 0.119.
With a fifth of the steps, all of them with falling rates, seed 10, every sample counted: without packing 7 modes at the
end and 6.61, with it 847 modes and 1.02 after 2,272 steps.
With batch norm in D, as in the program, nothing is lost without packing, and packing does not help. G's rate 4e-4, D's
2e-4, 25,000 steps, every sample counted: seeds 0 and 1 without packing have 1,000 and 994 modes and a KL of 0.26 and
0.32; counted where the classifier is 90 % sure of each digit, as it is of 11 % of the samples, 768 and 729 modes, 0.57
and 0.70. Seed 0 with packing has 998 modes and 0.28 at step 20,000 (sure of 6 %: 639, 0.70), and one mode at the end: D
tells all examples apart, which the doctor reports from step 9,500 on, and from 21,000 G makes all samples alike.
With batch norm in D at 28 pixels, 2e-4 for both, seeds 0 and 1: 997 and 1,000 modes, KL 0.28 and 0.27; with packing
1,000 and 998, 0.21 and 0.25. Where the classifier is sure (12 % and 9 %): 755 and 766 modes, KL 0.66 and 0.62; with
packing 754 and 707, 0.61 and 0.66.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

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
