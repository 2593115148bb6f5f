"""How is this source laid out? One module per format; each defines `Params` and `read`."""
