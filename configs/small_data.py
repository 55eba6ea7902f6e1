"""n digits, n being the argument: a GAN that cannot learn these has a bug, not too little data.

Command: python -m jaxgan.main --config=configs/small_data.py:100 --workdir=runs/small
Result: by `python -m benchmarks.experiments`, seed 0: `100` fd 21.9, precision 0.56, recall 0.44 against those 100
(2,000 samples, the classifier of the digits). 10 and 1,000 are not yet run.
"""

from jaxgan import defaults
from jaxgan.checks import one_of

VARIANTS = ("100", "10", "1000")


def get_config(examples=VARIANTS[0]):
    one_of("the argument", examples, VARIANTS)
    config = defaults()
    config.data.max_examples = int(examples)
    config.model.z_dim = config.model.base_features = 32
    config.train.num_steps = 1000
    config.train.batch_size = 32
    config.train.log_every = 50
    config.train.sample_every = 200
    return config
