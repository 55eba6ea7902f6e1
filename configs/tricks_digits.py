"""Tricks with labels and inputs; `flip_soft_noisy` against `none` is the experiment of "Keep Calm and train a GAN".

D has no spectral norm here, because the tricks are older and meant for a D that is too sure. `make ablation` tries all
strengths in one compilation.

Command: python -m jaxgan.main --config=configs/tricks_digits.py:flip_soft_noisy --workdir=runs/tricks
Result: by `python -m benchmarks.experiments.articles`, seed 0, 2,000 samples, the classifier of the digits: `none` fd
15.2, precision 0.33, recall 0.54; `flip_soft_noisy` 13.9, 0.35, 0.51. D is undecided in both (losses 1.35 and 1.36),
so the tricks have little to mend. They make gradients smaller, at the bottom and the top of G 0.66 and
0.09 against 0.94 and 0.29, of D 3.7 and 0.69 against 4.3 and 0.70. The single ones are in the table of `make ablation`,
docs/techniques.md.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

SOFT = {"soft_real": 0.1, "soft_fake": 0.1}
NOISY = {"noisy_real": 0.05, "noisy_fake": 0.05}
TRICKS = {
    "flip_soft_noisy": {"flip": True} | SOFT | NOISY,
    "none": {},
    "flip": {"flip": True},
    "soft": SOFT,
    "noisy": NOISY,
    "noisy_real": {"noisy_real": 0.05},
    "smoothing": {"smoothing": 0.1},
    "instance_noise": {"instance_noise": 0.1, "instance_noise_steps": 2000},
}
VARIANTS = tuple(TRICKS)


def get_config(trick=VARIANTS[0]):
    one_of("the argument", trick, VARIANTS)
    config = defaults()
    config.targets.update(TRICKS[trick])
    config.model.z_dim = config.model.base_features = 32
    config.model.d_spectral_norm = False
    config.train.num_steps = 3000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
