"""Fine-tune a retrieval embedding model on a domain, and show what it gained and what it forgot."""
