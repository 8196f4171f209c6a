"""The local profile: embedded broker, AWS emulator, crawler double and their supervisor."""
