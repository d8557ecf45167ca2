"""Which form of a trained model is fastest on this machine: tried, compared, kept."""
