"""Where messages come from: the simulator, CSV files, and the publisher that sends them."""
