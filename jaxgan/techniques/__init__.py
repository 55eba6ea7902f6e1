"""Implements the techniques that articles advise, in one file for each group of them."""
