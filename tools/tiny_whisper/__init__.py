"""A Whisper small enough to live in a repository: speaks its world, trains on it, exports and measures itself."""
