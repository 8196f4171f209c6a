"""The sections of the settings, a subject each: names, types, defaults, limits."""
