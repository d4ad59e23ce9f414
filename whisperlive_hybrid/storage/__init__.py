"""What outlives the process. Knows nothing of what it keeps."""
