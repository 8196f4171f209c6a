"""Where messages come from: a module for each vendor, CSV files, the simulator, the publisher."""
