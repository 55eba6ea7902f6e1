"""CIFAR-10 by DCGAN with its paper's settings (https://arxiv.org/abs/1511.06434, section 4); the paper gives no FID.

Published FID: 48.29, 50,000 samples against the training split, by StudioGAN's own DCGAN (200,000 steps of 64;
https://github.com/POSTECH-CVLab/PyTorch-StudioGAN).

Command: python -m jaxgan.main --config=configs/cifar10_dcgan.py --workdir=runs/c --config.data.data_dir=DIR
Result: not yet run.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name, config.data.image_size = "tfds", "cifar10", 32
    config.model.z_dim, config.model.z_distribution = 100, "uniform"
    config.model.base_features = 128
    config.model.g_kernel_sizes = config.model.d_kernel_sizes = (5,)
    config.model.d_spectral_norm, config.model.d_batch_norm = False, True
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 2e-4, 0.5, 0.999
    config.train.batch_size = 128
    config.train.num_steps = 100_000
    config.train.sample_every = config.train.checkpoint_every = 5000
    return config
