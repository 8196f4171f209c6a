"""What stands in the way of this installation."""
