"""How do other tools want a data set? One module per layout, which defines `LACKS` and `write`.

`LACKS` is what the layout has no place for; `write` fills a folder and returns what else was left out, with counts.
The formats of the same names read them back.
"""
