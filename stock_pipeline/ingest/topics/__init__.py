"""How a feed's topic is doing: its lives, its health, what was lost, how far the feed is."""
