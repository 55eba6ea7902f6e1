"""InfoGAN on digits: a categorical code of ten values and two continuous ones, found without labels.

Command: python -m jaxgan.main --config=configs/infogan_digits.py --workdir=runs/infogan
Result: seed 0: the categorical code is the digit's class for 36.7 % of 2,000 samples (best assignment, by a classifier
that is right about 98.9 % of the held-out digits). It is learned, but mostly stands for something else than the class.
That was before codes got a random stream of their own; not run again.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    # The paper's codes and learning rates for MNIST (https://arxiv.org/abs/1606.03657, appendix C.1).
    config.infogan.categorical = (10,)
    config.infogan.continuous = 2
    config.model.z_dim = 62
    config.g_optim.learning_rate, config.d_optim.learning_rate = 1e-3, 2e-4
    config.model.base_features = 32
    config.model.d_spectral_norm, config.model.d_batch_norm = False, True
    config.train.num_steps = 7000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
