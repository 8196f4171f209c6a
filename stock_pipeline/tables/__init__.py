"""Silver and gold: what is due, how it is made, checked and published."""
