"""Samples to utterances: voice activity and segmentation. Knows nothing of models or sockets."""
