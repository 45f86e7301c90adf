"""Benchmark models beyond the convolutional networks of random_models.py, by families; random_cases.py writes them."""
