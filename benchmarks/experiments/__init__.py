"""Trainings that show what a technique does."""
