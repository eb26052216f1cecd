"""A load that looks like sensors in the field, made of a seed: what `sojourn generate` writes."""
