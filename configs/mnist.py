"""DCGAN with spectral norm on the 4,000 embedded MNIST digits."""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.train.num_steps = 2000
    return config
