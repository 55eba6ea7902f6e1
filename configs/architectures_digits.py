"""The smallest forms of the residual architectures, on digits; the argument chooses one.

Command: python -m jaxgan.main --config=configs/architectures_digits.py:sngan_resnet --workdir=runs/sngan_resnet
Result: by `python -m benchmarks.experiments.articles`, seed 0, 2,000 samples, the classifier of the digits:
`sngan_resnet` fd 17.9, precision 0.36, recall 0.44; `sagan` 19.5, 0.37, 0.43; 5 and 8 minutes on one core. `biggan`
and `r3gan` are not yet run to their end (300 steps of each: docs/techniques_results.md).
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

VARIANTS = ("sngan_resnet", "sagan", "biggan", "r3gan")


def get_config(architecture=VARIANTS[0]):
    one_of("the argument", architecture, VARIANTS)
    config = defaults()
    config.model.architecture = architecture
    config.data.image_size = 28 if architecture == "sngan_resnet" else 32
    config.model.base_features = 16
    config.model.z_dim = 64
    config.loss.name = "hinge"
    if architecture in ("sagan", "biggan"):
        config.model.g_spectral_norm = True
    if architecture == "biggan":
        config.model.g_conditioning, config.model.d_conditioning = "batch_norm", "projection"
    if architecture == "r3gan":
        config.model.g_batch_norm = config.model.d_spectral_norm = False  # it has neither
        config.loss.name = "relativistic_paired"
        config.regularizers.r1 = config.regularizers.r2 = 0.1
    for optim in (config.g_optim, config.d_optim):
        optim.b1, optim.b2 = 0.0, 0.9
    config.train.num_steps = 2000
    config.train.batch_size = 32
    config.train.log_every = 50
    return config
