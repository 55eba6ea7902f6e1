"""A folder of pictures of your own: DCGAN at 64 pixels with spectral norm, the hinge loss and DiffAugment.

Command: python -m jaxgan.main --config=configs/pictures.py --workdir=runs/mine --config.data.data_dir=DIR
Result: not yet run to its end.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name = "folder", ""
    config.data.data_dir = "pictures"  # override it on the command line
    config.data.image_size = 64
    config.data.horizontal_flip = True  # set it to False for text and other pictures with a left and a right
    config.data.on_bad_image = "skip"
    config.loss.name = "hinge"
    config.augment.policy = ("color", "translation", "cutout")  # folders are usually small data sets
    config.train.num_steps = 50_000
    config.train.sample_every = 500
    config.eval.every = 5000
    return config
