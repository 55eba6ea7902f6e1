"""Shows what a run is doing: curves, gradients, and the doctor's findings."""
