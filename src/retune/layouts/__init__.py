"""Which layouts do other tools expect? One module per layout; each defines `LACKS` and `write`.

`LACKS` names what the layout has no place for. `write` fills a folder and returns the numbers of other things left
out. The format of the same name reads the layout back.
"""
