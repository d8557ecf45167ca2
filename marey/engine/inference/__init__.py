"""A trained model looks at clips: evaluation, prediction, features."""
