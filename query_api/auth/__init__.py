"""Who asks, and what they may see: one core for all dialects; each only presents its credential in its own form."""
