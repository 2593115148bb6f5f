"""What does a language model answer? Requests to an OpenAI-compatible server, their replies, and what these cost."""
