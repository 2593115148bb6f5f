"""How do other tools want a data set? One module per layout, which defines `LACKS` and `write`."""
