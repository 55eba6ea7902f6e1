"""CIFAR-10 by WGAN-GP with its paper's ResNet settings (https://arxiv.org/abs/1704.00028, appendix).

Departures from its program: D is 64 wide and G twice base_features, where the program has 128 for both; D sums over the
last maps, where the program averages; G's batch has 64 images, where the program's has 128; real images have no noise,
where the program adds one step of brightness.
Published FID: 22.29, 50,000 samples against the training split, by Mimicry (https://github.com/kwotsin/mimicry).

Command: python -m jaxgan.main --config=configs/cifar10_wgan_gp.py --workdir=runs/c --config.data.data_dir=DIR
Result: not yet run.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name, config.data.image_size = "tfds", "cifar10", 32
    config.model.architecture, config.model.base_features = "sngan_resnet", 64
    config.model.d_spectral_norm = False
    config.loss.name = "wasserstein"
    config.regularizers.wgan_gp = 10.0
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 2e-4, 0.0, 0.9
        optim.schedule, optim.schedule_steps = "linear", 100_000
    config.train.d_steps_per_g_step = 5
    config.train.num_steps = 100_000
    config.train.sample_every = config.train.checkpoint_every = 5000
    return config
