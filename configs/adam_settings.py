"""Adam's settings A to F under spectral norm, figure 4 of "Training GANs the right way"; the argument chooses one.

The settings are those of https://arxiv.org/abs/1802.05957, table 1, each with its number of D steps.

Command: python -m jaxgan.main --config=configs/adam_settings.py:C --workdir=runs/adam_c
Result: by `python -m benchmarks.experiments.articles`, seed 0, 2,000 samples, the classifier of the digits; 1 to 3
minutes on one core. fd of A to F: 14.8, 17.4, 14.1, 8.7, 8.3, 18.7; recall 0.58, 0.43, 0.55, 0.78, 0.77, 0.46. A, D
and E take five D steps for each G step. Only with F (b1 0.9) does D get ahead: its loss is 0.76, with the others it is
1.13 to 1.25.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

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
