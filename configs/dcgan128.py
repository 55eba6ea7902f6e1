"""DCGAN for 128 px images in a folder, with the settings of an article that generates Japanese woodblock prints.

z and batch of 128, five layers of 64 to 1,024 channels, sigmoid output, cross entropy, Adam 2e-4 with (0.5, 0.999),
a grid of the same 64 latents every 1,000 steps. The article trains for 25 epochs: set train.num_steps to
25 x images / 128.

Command: python -m jaxgan.main --config=configs/dcgan128.py --workdir=runs/prints --config.data.data_dir=DIR
Result: not yet run.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name, config.data.data_dir = "folder", "", "images"
    config.data.image_size = 128
    config.model.z_dim = 128
    config.model.channel_multipliers = (1, 2, 4, 8, 16)
    config.model.output = "sigmoid"
    config.model.d_spectral_norm, config.model.d_batch_norm = False, True
    config.train.num_steps = 20_000
    config.train.batch_size = 128
    config.train.ema_decay = 0.0  # it keeps no average
    config.train.sample_every = 1000
    return config
