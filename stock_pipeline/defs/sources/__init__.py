"""What the settings say is fetched from vendors in market hours."""
