"""One module per source format; `converters/<format>.py` defines `Params` and `read`."""
