"""What became of records that could not be used: reading the dead letters, and publishing them once more."""
