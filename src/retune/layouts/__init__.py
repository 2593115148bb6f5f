"""Which layouts do other tools expect? One module per layout; each defines `LACKS` and `write`."""
