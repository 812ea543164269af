"""A second reading of the requirement, which imports nothing of kubeports: what the product says is held against it."""
