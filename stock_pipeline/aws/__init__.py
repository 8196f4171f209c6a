"""Sessions, roles and the words for what AWS refuses."""
