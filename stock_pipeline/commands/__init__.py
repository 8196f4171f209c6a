"""The commands of `stock-pipeline`, one module each; heavy imports inside the functions."""
