"""A router at work: its policies loaded, its settings followed, its store kept up, its decisions written down."""
