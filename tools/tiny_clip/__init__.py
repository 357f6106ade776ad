"""A CLIP small enough to live in a repository: draws its world, trains on it, exports and measures itself."""
