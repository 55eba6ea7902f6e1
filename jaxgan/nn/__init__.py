"""Defines layers that know nothing of GANs: convolutions, normalization, attention, resampling."""
