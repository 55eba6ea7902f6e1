"""25 Gaussians in a grid: does G find more modes if D judges several points as one, as many as the argument (PacGAN)?

After https://arxiv.org/abs/1712.04086, section 4.1, and its program: z of 2 numbers, 100 packs in a batch. Departures:
smaller networks (three layers of 128; theirs are a G of four with 400 and batch norm, a D of three with 200 maxout
units), and for 30,000 updates in place of 400,000 higher learning rates that fall to 0, and three D steps for each G
step.
Published, mean of 10 runs: without packing 17.3 modes, 94.8 % of high quality; with 4: 24.8 modes, 93.6 %.

Command: python -m jaxgan.main --config=configs/packing_grid.py:4 --workdir=runs/packing4 --config.seed=0
Result: by `python -m benchmarks.experiments.modes`, seeds 0 to 4, 2,500 samples, a mode counts from one sample on:
without packing 22, 13, 17, 15, 13 modes (mean 16.0), 96.9 % of high quality, reverse KL 0.81; with 2: 19, 23, 20, 24,
24 (22.0), 96.3 %, 0.21; with 4: 25 in each seed, 96.4 %, 0.04. 2 to 4 minutes a run on one CPU core. The settings were
chosen on packing 4: learning rates on seeds 0 and 2, three D steps on seed 10. With two D steps, means of 17.6, 24.2
and 24.2 modes.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

VARIANTS = ("1", "2", "3", "4")


def get_config(packing=VARIANTS[0]):
    one_of("the argument", packing, VARIANTS)
    config = defaults()
    config.data.source, config.data.name = "synthetic", "grid"
    config.model.packing = int(packing)
    config.model.architecture, config.model.output = "mlp", "linear"
    config.model.z_dim = 2
    config.model.base_features = 128
    config.model.g_batch_norm = config.model.d_spectral_norm = False
    config.g_optim.learning_rate, config.d_optim.learning_rate = 4e-3, 4e-3
    for optim in (config.g_optim, config.d_optim):
        optim.b1, optim.b2 = 0.5, 0.99
        optim.schedule, optim.schedule_steps = "cosine", 30_000
    config.train.d_steps_per_g_step = 3
    config.train.num_steps = 30_000
    config.train.steps_per_call = 50
    config.train.batch_size = 100 * int(packing)  # D judges 100 packs
    config.train.log_every = 1000
    config.train.sample_every = 5000
    config.train.checkpoint_every = 10_000
    return config
