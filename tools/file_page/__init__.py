"""The page for files: its parts, and the one file that they become."""
