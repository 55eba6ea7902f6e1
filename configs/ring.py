"""Ring of 8 Gaussians (radius 1, sigma 0.01): does the generator find every mode?

Command: python -m jaxgan.main --config=configs/ring.py --workdir=runs/ring --config.seed=0
Result: by `python -m benchmarks.experiments.modes --only=ring`, seeds 0 to 4, 2,500 samples: 8 of 8 modes in each,
94.3, 95.5, 95.1, 95.2 and 94.3 % of high quality, reverse KL 0.003, 100 to 173 s a run on one CPU core.
"""

from jaxgan import defaults


def get_config():
    config = defaults()
    config.data.source, config.data.name = "synthetic", "ring"
    config.model.architecture = "mlp"
    config.model.output = "linear"
    config.model.z_dim = 2
    config.model.base_features = 128
    config.model.g_batch_norm = False
    config.model.d_spectral_norm = False
    config.loss.name = "relativistic_paired"
    config.regularizers.r1 = config.regularizers.r2 = 0.1
    for optim in (config.g_optim, config.d_optim):
        optim.learning_rate, optim.b1, optim.b2 = 1e-3, 0.0, 0.99
        optim.schedule, optim.schedule_steps = "cosine", 12_000
    config.train.num_steps = 12_000
    config.train.steps_per_call = 50
    config.train.batch_size = 256
    config.train.log_every = 500
    config.train.sample_every = 2500
    config.train.checkpoint_every = 5000
    return config
