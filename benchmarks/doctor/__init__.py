"""How the doctor's thresholds were found."""
