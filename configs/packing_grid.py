"""25 Gaussians in a grid: the argument is how many points D judges as one (PacGAN). Does G find more modes?

After https://arxiv.org/abs/1712.04086, section 4.1, and its program's settings: 100,000 points, G of four layers of 400
with batch norm, normal z of 2 numbers, Adam 1e-4 with b1 0.8, 100 packs in a batch. Departures: D is of LeakyReLU
layers of G's width where theirs has three of 200 maxout units of 5 pieces, and 30,000 updates in place of 400,000.
Published, mean of 10 runs: without packing 17.3 modes, 94.8 % of high quality; with 4: 24.8 modes, 93.6 %.

Command: python -m jaxgan.main --config=configs/packing_grid.py:4 --workdir=runs/packing4 --config.seed=0
Result: not yet run.
"""

from jaxgan import defaults
from jaxgan.checks import one_of

VARIANTS = ("1", "2", "3", "4")


def get_config(packing=VARIANTS[0]):
    one_of("the argument", packing, VARIANTS)
    config = defaults()
    config.data.source, config.data.name = "synthetic", "grid"
    config.model.packing = int(packing)
    config.model.architecture, config.model.output = "mlp", "linear"
    config.model.z_dim = 2
    config.model.base_features, config.model.channel_multipliers = 400, (1, 1, 1, 1)
    config.model.d_spectral_norm = False
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 1e-4, 0.8, 0.999
    config.train.num_steps = 30_000
    config.train.steps_per_call = 50
    config.train.batch_size = 100 * int(packing)  # D judges 100 packs
    config.train.log_every = 1000
    config.train.sample_every = 5000
    config.train.checkpoint_every = 10_000
    return config
