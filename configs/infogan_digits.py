"""InfoGAN on digits: a categorical code of ten values and two continuous ones, found without labels.

Command: python -m jaxgan.main --config=configs/infogan_digits.py --workdir=runs/infogan
Result: seed 0: the categorical code is the digit's class for 60.8 % of 2,000 samples (best assignment, by a classifier
that is right about 98.9 % of the held-out digits); two of the codes make ones. Published, with 15 times as many images:
95 % (section 7.2 of the paper). Other seeds: not yet run.

What mattered, single runs of seed 0: with batch norm alone in D the codes are read off strokes, 37 % after 2,500 and
7,000 steps alike; with spectral norm, which bounds how far small changes of an image move the codes' logits, 47 %, and
with translations in front of D 60 %. A learning rate of 1e-3 for the codes, with 7,000 steps: 52 %.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    # The paper's codes, and its learning rates of G and D for MNIST (https://arxiv.org/abs/1606.03657, appendix C.1).
    config.infogan.categorical = (10,)
    config.infogan.continuous = 2
    config.infogan.learning_rate = 2e-4
    config.g_optim.learning_rate, config.d_optim.learning_rate = 1e-3, 2e-4
    config.model.z_dim = 16
    config.model.base_features = 32
    config.model.d_spectral_norm = config.model.d_batch_norm = True
    config.augment.policy = ("translation",)
    config.train.num_steps = 3000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
