"""Which companion data: interference and transfer, measured before training."""
