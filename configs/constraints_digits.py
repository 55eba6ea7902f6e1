"""Constraints and penalties on D; `none` against `spectral_norm` is figure 3 of "Training GANs the right way".

In that figure an unconstrained D's loss falls towards 0 while G's grows: compare curves.png of both runs.

Command: python -m jaxgan.main --config=configs/constraints_digits.py:spectral_norm --workdir=runs/spectral_norm
Result: by `python -m benchmarks.experiments.articles`, seed 0: `none` fd 14.9, precision 0.31, recall 0.49;
`spectral_norm` fd 11.4, precision 0.38, recall 0.69 (2,000 samples, the classifier of the digits). Losses stay near
those of an undecided D in both (1.35 and 1.30): the article's figure is not seen in 3,000 steps. The others are not
yet run.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

# Keys of `regularizers`, with the loss that each penalty's paper used.
PENALTIES = {
    "clip": ("wasserstein", {"clip": 0.01}),
    "wgan_gp": ("wasserstein", {"wgan_gp": 10.0}),
    "dragan": ("non_saturating", {"dragan": 10.0}),
    "r1": ("non_saturating", {"r1": 10.0}),
    "lazy_r1": ("non_saturating", {"r1": 10.0, "interval": 16}),
    "lecam": ("hinge", {"lecam": 0.3}),
    "feature_matching": ("non_saturating", {"feature_matching": 1.0}),
    "minibatch_stddev": ("non_saturating", {}),
}
VARIANTS = ("spectral_norm", "none", *PENALTIES)


def get_config(constraint=VARIANTS[0]):
    one_of("the argument", constraint, VARIANTS)
    config = defaults()
    config.model.d_spectral_norm = constraint == "spectral_norm"
    if constraint in PENALTIES:
        config.loss.name, penalty = PENALTIES[constraint]
        config.regularizers.update(penalty)
    if constraint in ("clip", "wgan_gp"):
        config.train.d_steps_per_g_step = 5
    if constraint == "feature_matching":
        config.loss.g_adversarial_weight = 0.0
    if constraint == "minibatch_stddev":
        config.model.minibatch_stddev = 4
    config.model.z_dim = config.model.base_features = 32
    config.train.num_steps = 3000
    config.train.batch_size = 32
    config.train.sample_every = 1000
    return config
