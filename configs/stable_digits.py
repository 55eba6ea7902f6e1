"""All the advice of "All About Training GAN" at once: two learning rates, noise, smoothing, spectral norm, batch 64.

The article gives no strength of the noise; 0.1 of a range of 2 is a guess.

Command: python -m jaxgan.main --config=configs/stable_digits.py --workdir=runs/stable
Result: by `python -m benchmarks.experiments.articles`, seed 0, 2,000 samples, the classifier of the digits: fd 10.5,
precision 0.39, recall 0.73; losses of D and G 1.25 and 0.98; 5 minutes on one core.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.g_optim.learning_rate, config.d_optim.learning_rate = 1e-4, 4e-4
    config.targets.smoothing = 0.1
    config.targets.instance_noise, config.targets.instance_noise_steps = 0.1, 4000
    config.model.z_dim = config.model.base_features = 32
    config.train.num_steps = 5000
    config.train.batch_size = 64
    config.train.sample_every = 1000
    return config
