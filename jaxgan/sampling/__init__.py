"""Draws images from a trained generator."""
