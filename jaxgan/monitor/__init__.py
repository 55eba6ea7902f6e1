"""What a run is doing."""
