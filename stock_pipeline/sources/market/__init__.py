"""The simulated market."""
