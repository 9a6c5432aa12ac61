"""Each protocol is a thin door to the engine: what its bodies look like, and nothing of how an action is found."""
