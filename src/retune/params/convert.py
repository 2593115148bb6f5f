"""Section `convert.<dataset>`: what every format shares; a format adds its own in converters/<format>.py."""

from typing import Literal

from retune.params.section import Section, Share


class Convert(Section):
    """One data set. A share cuts a split from train; `given` takes the source's own."""

    format: str  # a module of retune.converters
    raw: str  # file or folder
    merge_queries: bool  # equal query texts become one query with several positives
    split_by: Literal["document", "query", "group"]  # what never lies on both sides of a cut
    dev: Share | Literal["given"]
    test: Share | Literal["given"]
