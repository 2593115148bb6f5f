"""Section `compare`: what the verdict looks at."""

from retune.params.section import Section


class Compare(Section):
    """The comparison's choices."""

    metric: str  # such as ndcg_at_10
