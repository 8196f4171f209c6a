"""Where messages come from: vendors, files and the simulated market, behind one protocol."""
