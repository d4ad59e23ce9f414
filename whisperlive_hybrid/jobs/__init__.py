"""File work: the pipeline from an upload to a transcript, and the formats it is rendered in."""
