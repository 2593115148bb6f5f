"""How is this source laid out? One module per format, which defines `Params` and `read`."""
