"""Reads and writes what lies in a workdir, whole or not at all."""
