"""A few digits, as many as the argument says: a GAN that cannot learn them has a bug, not too little data.

Command: python -m jaxgan.main --config=configs/small_data.py:100 --workdir=runs/small
Result: by `python -m benchmarks.experiments.articles`, seed 0, against the digits that each is trained on (2,000
samples, the classifier of the digits): 10, 100 and 1,000 of them fd 35.4, 21.9, 18.3, precision 1.00, 0.32, 0.40,
recall 0.80, 0.34, 0.36. With 10, every sample lies near one of the ten digits, which is what to look for.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

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
