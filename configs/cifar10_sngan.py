"""CIFAR-10 by SNGAN's ResNet: `unconditional`, or with a `projection` discriminator (cGAN).

Settings of the authors' program, https://github.com/pfnet-research/sngan_projection, configs/sn_cifar10*.yml.
Departure: G's updates see 64 generated examples, as D's do; the program's see 128.
Published FID, unconditional: 21.7 (https://arxiv.org/abs/1802.05957, of 5,000 samples), 16.77 (Mimicry, of 50,000
against the training split, 100,000 updates); projection: 10.84 (Mimicry, https://github.com/kwotsin/mimicry).

Command: python -m jaxgan.main --config=configs/cifar10_sngan.py:projection --workdir=runs/c --config.data.data_dir=DIR
Result: not yet run.
"""

from jaxgan import defaults
from jaxgan.config.fields import one_of

VARIANTS = ("unconditional", "projection")


def get_config(kind=VARIANTS[0]):
    one_of("the argument", kind, VARIANTS)
    config = defaults()
    config.data.source, config.data.name, config.data.image_size = "tfds", "cifar10", 32
    config.model.architecture, config.model.base_features = "sngan_resnet", 128
    if kind == "projection":
        config.model.g_conditioning, config.model.d_conditioning = "batch_norm", "projection"
    config.loss.name = "hinge"
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 2e-4, 0.0, 0.9
        optim.schedule, optim.schedule_steps = "linear", 50_000
    config.train.d_steps_per_g_step = 5
    config.train.num_steps = 50_000
    config.train.sample_every = config.train.checkpoint_every = 5000
    return config
