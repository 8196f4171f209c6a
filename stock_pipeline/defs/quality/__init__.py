"""Checks that warn of data which is hardly what the market did."""
