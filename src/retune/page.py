"""Lay out the report's page."""

import html
import json
from typing import Any


def page_html(content: dict[str, Any]) -> str:
    """Return the page; for now its content as text."""
    return f"<pre>{html.escape(json.dumps(content, indent=1, ensure_ascii=False))}</pre>\n"
