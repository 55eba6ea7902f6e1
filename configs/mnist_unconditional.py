"""Unconditional DCGAN on the 4,000 real training digits that come with the package: `configs/mnist.py` without classes.

Command: python -m jaxgan.main --config=configs/mnist_unconditional.py --workdir=runs/mnist_unconditional
Result: 3 min 17 s on two CPU cores. 10,000 samples of step 7,000, by the classifier of the digits: fd 7.97 (7.77 to
8.13), precision 0.439, recall 0.745, coverage 0.541.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.model.z_dim = 32
    config.model.base_features = 32
    # With few images and little time, batch norm in D sharpens strokes sooner than spectral norm does.
    config.model.d_spectral_norm = False
    config.model.d_batch_norm = True
    config.g_optim.learning_rate = 1e-3
    config.d_optim.learning_rate = 3e-4
    for optim in (config.g_optim, config.d_optim):
        optim.schedule, optim.schedule_steps = "linear", 7000
    config.train.num_steps = 7000
    config.train.batch_size = 32
    config.train.log_every = 200
    config.train.sample_every = 1000
    config.eval.every = 1000
    return config
