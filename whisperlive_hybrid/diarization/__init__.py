"""Who speaks: turns of files, and the speakers of live segments. torch and pyannote run in a process of their own."""
