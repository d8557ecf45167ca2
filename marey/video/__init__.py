"""A file of pixels becomes tensors; knows no labels and no models."""
