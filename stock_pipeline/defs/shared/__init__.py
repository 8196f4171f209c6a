"""What the definitions of several subjects share."""
