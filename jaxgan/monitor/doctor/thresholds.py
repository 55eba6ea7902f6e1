"""Every number that a verdict rests on, and what it was fitted on."""

# No verdict in the first few hundred steps ("Keep Calm and train a GAN", section 7).
PATIENCE = 500
# "Lately": so many steps or this share of the run, and at least so many points.
WINDOW, WINDOW_SHARE, WINDOW_POINTS = 200, 0.1, 5
# What holds for so many steps and for this share of the run is a problem; before, a warning.
LASTING, LASTING_SHARE = 1000, 0.2
LOSS_LASTING = 2000
# An evaluation that became better by this share of its best in the last half of a run overrules what losses and scores
# say, and so do evaluations that are fewer than this.
IMPROVEMENT, FEW_EVALUATIONS = 0.02, 4

SURE, SURE_AND_STUCK = 0.9, 0.6  # score/real - score/fake
PROGRESS = 0.2
FOOLED, NO_LOSS_G = 0.9, 0.15
WORSE_THAN_CHANCE = 0.05  # score/fake - score/real
NO_GRADIENT, VANISHED = 1e-4, 1e-3
D_LOSS_ZERO = 0.01
LARGE_LOSS, GROWN = 30.0, 10.0
COLLAPSING, COLLAPSED = 0.5, 0.35  # of the data's diversity
HOPS = 0.5
IMBALANCE, SWING, IMBALANCE_SHARE = 40.0, 2.0, 0.5

DEGRADED, IN_A_ROW, EVALUATIONS = 1.25, 3, 16
NOISE = 2.0  # times the median change between two evaluations
NEAR_TRAINING, MEMORIZED = 0.7, 0.5
HEARD, DEAF = 0.5, 0.2  # of the way from chance to always right
