"""Lists every number that a verdict rests on, and what it was fitted on.

P: the fitting half of 32 published runs (StudioGAN's logs: 5 of 17 ended at 1.5 times their best FID or worse).
B: the fitting half of `benchmarks.doctor.rows` (30 runs broken in 10 ways, 32 healthy ones of 8 configurations).
A priori: by what the number means; no run of a fitting half shows the failure.
`python -m benchmarks.doctor.report` tells what the other halves say of them.
"""

# No verdict in the first few hundred steps ("Keep Calm and train a GAN", section 7).
PATIENCE = 500
# "Lately": so many steps or this share of the run, and at least so many points. P: medians over a tenth of a run pass
# over the bursts of D's loss that healthy runs have.
WINDOW, WINDOW_SHARE, WINDOW_POINTS = 200, 0.1, 5
# What holds for so many steps and for this share of the run is a problem; before, a warning. B: the runs' 4,000 steps.
LASTING, LASTING_SHARE = 1000, 0.2
# The same of what losses alone say. P: a run whose losses looked lost from the start got better for 46,000 steps, and
# its first evaluation came at 2,000.
LOSS_LASTING = 2000
# Evaluations overrule losses and scores while there are fewer than this, or if one in the last half of the run was
# better by this share than all before. P: keeps the same run from a verdict before its best.
FEW_EVALUATIONS, IMPROVEMENT = 4, 0.02

# score/real - score/fake. B: 0.9 to 1 where D won, under 0.2 in healthy runs, but those of large images may lie higher.
# 0.75 where G did not learn at all: then less is enough, if no evaluation was ever better than the first by PROGRESS.
SURE, SURE_AND_STUCK, PROGRESS = 0.9, 0.6, 0.2
# score/fake where loss/g is nearly 0, a priori. B: score/fake - score/real of 0.3 for a D that does not learn; 0 to
# -0.2 in healthy runs.
FOOLED, NO_LOSS_G = 0.9, 0.15
WORSE_THAN_CHANCE = 0.05
# The norm of G's gradient, and beside its first steps. B: 1e-4 and less where it vanished, 0.1 and more in healthy
# runs.
NO_GRADIENT, VANISHED = 1e-4, 1e-3
# P: medians under 0.005 in three of five runs that ended badly, while a large one that ended well came down to 0.015.
D_LOSS_ZERO = 0.01
# A priori. P: class-conditional losses of healthy runs begin at 13, and none grows tenfold.
LARGE_LOSS, GROWN = 30.0, 10.0
# Of the data's diversity. B: 0.3 and less where G collapsed, 0.85 and more in healthy runs.
COLLAPSING, COLLAPSED = 0.5, 0.35
# The same. B: 17 and more where points fly off, at most 1.02 in healthy runs and 1.26 where G stays at its first noise.
SCATTERED = 1.5
# Interquartile range of G's loss beside collapse. B: 1 with far too high learning rates, 0.1 where one mode stayed.
HOPS = 0.5
# Loss of G over half of D's; interquartile range of G's loss; how long it must hold. P: 50 and 3 in runs that ended
# badly; a large one that ended well had 120, but with a range of 0.2, and no other a range above 1.2.
IMBALANCE, SWING, IMBALANCE_SHARE = 40.0, 2.0, 0.5

# All of so many evaluations in a row are worse than the best level by this factor; a problem if there are as many
# evaluations as the last. P: one run lost all at its 6th evaluation, stayed so for ten and then found its best.
DEGRADED, IN_A_ROW, EVALUATIONS = 1.25, 3, 16
# And by more than so many times the median change between two evaluations. Pure noise gives a false alarm in 5 of 40
# runs of 50 evaluations, and with 2 in 18.
NOISE = 3.0
# Distance to the nearest training example, over that of held-out examples. B: 0.5 with 100 training examples, 1 and
# more in healthy runs.
NEAR_TRAINING, MEMORIZED = 0.7, 0.5
# Of the way from chance to always right. B: 0 with labels at random, 0.9 in healthy runs.
HEARD, DEAF = 0.5, 0.2
