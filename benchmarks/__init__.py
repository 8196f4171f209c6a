"""What the numbers of the README come from: `make bench`."""
