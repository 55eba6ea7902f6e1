"""What the articles advise: one file per group of techniques."""
