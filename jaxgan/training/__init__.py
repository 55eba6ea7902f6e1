"""Trains a run: the loop, and what happens while it runs."""
