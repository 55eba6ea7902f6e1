"""Maps work over devices and averages what they compute."""
