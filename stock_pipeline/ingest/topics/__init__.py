"""Is the topic still the one that was read, and is it well? Its lives, anchors, losses."""
