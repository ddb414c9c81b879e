"""Which companion domain to train with: two axes and what training confirms."""
