"""Makes the bundled speaker embedding from the weights that are published with its paper."""
