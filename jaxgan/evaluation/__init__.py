"""Scores a run, a checkpoint or a folder of images."""
