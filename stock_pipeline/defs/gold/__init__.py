"""What people ask for: volatility and average prices."""
