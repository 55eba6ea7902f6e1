"""CIFAR-10 by BigGAN, with the settings of its first author's program (https://github.com/ajbrock/BigGAN-PyTorch).

Batch 50, 4 D steps, Adam 2e-4 with (0, 0.999), 500 epochs of D, average of 0.9999. Departures: three choices of
the paper that the program's script for CIFAR-10 leaves out (orthogonal initialization in place of N(0, 0.02), z split
over the blocks, one class embedding for all blocks), and an average that begins at once, where the program's waits for
1,000 steps.
Published FID: 14.73 (https://arxiv.org/abs/1809.11096); 4.16 by StudioGAN, 50,000 samples
(https://github.com/POSTECH-CVLab/PyTorch-StudioGAN).

Command: python -m jaxgan.main --config=configs/cifar10_biggan.py --workdir=runs/c --config.data.data_dir=DIR
Result: not yet run.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name, config.data.image_size = "tfds", "cifar10", 32
    config.model.architecture, config.model.base_features = "biggan", 64
    config.model.g_conditioning, config.model.d_conditioning = "batch_norm", "projection"
    config.model.g_spectral_norm = True
    config.model.z_dim, config.model.embedding_dim = 128, 128
    config.loss.name = "hinge"
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 2e-4, 0.0, 0.999
    config.train.d_steps_per_g_step = 4
    config.train.batch_size = 50
    config.train.num_steps = 125_000  # 500 epochs of 1,000 batches, 4 of them a step
    config.train.ema_decay = 0.9999
    config.train.sample_every = config.train.checkpoint_every = 5000
    return config
