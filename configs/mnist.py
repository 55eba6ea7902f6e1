"""Class-conditional DCGAN on the 4,000 real training digits that come with the package; what `make demo` runs.

Each column of its sample grids is one digit.

Command: python -m jaxgan.main --config=configs/mnist.py --workdir=runs/mnist
Result: 4 min 17 s on two CPU cores beside other jobs; fd 1.78, precision 0.716, recall 0.664, coverage 0.460 (1,000
samples of step 7,000, seed 0, the classifier of the digits). docs/results.md has the scores over time.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    # G is told the digit by conditional batch norm; D compares image and digit by projection.
    config.model.g_conditioning, config.model.d_conditioning = "batch_norm", "projection"
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
