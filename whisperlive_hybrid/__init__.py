"""WhisperLive Hybrid: live captions, file transcription and an OpenAI-compatible API on one shared Whisper engine."""

__version__ = "0.1.0"
