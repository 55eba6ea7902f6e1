"""CIFAR-10 by R3GAN, class-conditional (https://arxiv.org/abs/2501.05441), after its program's settings.

Batch 512, z 64, width 768, gamma 0.05, rates from 2e-4 to 5e-5 along a cosine over 20 million images, an average with a
half-life of 5 million. Departures: gamma and b2 are constant (the program's fall to 0.005 and
grow from 0.9 to 0.99); DiffAugment where theirs is ADA's pipeline with a probability that grows to 0.55.
Published FID: 1.96, 50,000 samples against the training split; the authors trained for 4 days on 8 L40.

Command: python -m jaxgan.main --config=configs/cifar10_r3gan.py --workdir=runs/c --config.data.data_dir=DIR
Result: not yet run.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name, config.data.image_size = "tfds", "cifar10", 32
    config.data.horizontal_flip = True
    config.model.architecture, config.model.base_features = "r3gan", 768
    config.model.g_batch_norm = config.model.d_spectral_norm = False
    config.model.g_conditioning, config.model.d_conditioning = "concat", "projection"
    config.model.z_dim, config.model.embedding_dim = 64, 64
    config.loss.name = "relativistic_paired"
    config.regularizers.r1 = config.regularizers.r2 = 0.05
    config.augment.policy, config.augment.p = ("color", "translation", "cutout"), 0.3
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 2e-4, 0.0, 0.99
        optim.schedule, optim.schedule_steps, optim.schedule_end = "cosine", 39_000, 0.25
    config.train.batch_size = 512
    config.train.num_steps = 200_000
    config.train.ema_decay = 0.99993
    config.train.sample_every = config.train.checkpoint_every = 5000
    return config
