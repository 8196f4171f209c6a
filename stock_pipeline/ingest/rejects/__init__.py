"""What was refused: kept in quarantine with its bytes, and read again on request."""
