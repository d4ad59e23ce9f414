"""Other live speech-to-text servers, run as they are for comparison. Nothing of them is kept in this repository."""
