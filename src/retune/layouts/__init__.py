"""One module per layout of other tools; `layouts/<name>.py` defines `LACKS` and `write`.

`LACKS` is what the layout has no place for; `write` fills a folder and returns what else was left out, with counts.
The converters of the same names read them back.
"""
