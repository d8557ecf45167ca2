"""Files of a trained model for other runtimes, each tried on real clips before it is kept."""
