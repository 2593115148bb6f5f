"""Where the server is, and the key for it: from the environment, under the names that the client of OpenAI uses.

The key is sent to the server and appears nowhere else: every text that comes back is redacted.
"""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from retune.core.errors import InputError

URL, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"  # in the environment
EXPECTED = "expected an address that begins with http:// or https://"
DEFAULT_URL = "https://api.openai.com/v1"
SECRET_LENGTH = 20  # a shorter key without a digit, such as `none` or `anything`, is a placeholder


@dataclass(frozen=True)
class Address:
    """Where the server is.

    Attributes:
        url: The base URL; empty for the client's default.
        key: The key; a placeholder if the server needs none.
        service: What is asked of it, for messages.
        url_name: Where the user gave the URL, for messages.
        key_name: The variable with the key, for messages.
        model_name: The parameter with the model, for messages.
    """

    url: str
    key: str
    service: str = "chat completions"
    url_name: str = URL
    key_name: str = KEY
    model_name: str = "llm.model"

    def redact(self, text: str) -> str:
        """Remove the key from a text of the server, also if it is escaped as in JSON."""
        is_secret = len(self.key) >= SECRET_LENGTH or re.search(r"\d", self.key)
        return self._as_sent.sub("***", text) if is_secret else text

    @cached_property
    def _as_sent(self) -> re.Pattern[str]:
        """A pattern of the key, each character as it is or escaped."""
        return re.compile("".join(rf"(?:{re.escape(char)}|\\u(?i:{ord(char):04x}))" for char in self.key))

    @property
    def shown(self) -> str:
        """The URL without what may be secret in it."""
        parts = urlsplit(self.url or DEFAULT_URL)
        return self.redact(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def names_server() -> bool:
    """Return whether the environment says anything about a server."""
    return any(os.environ.get(name, "").strip() for name in (URL, KEY))


def read_address() -> Address:
    """Read address and key from the environment.

    Raises:
        InputError: There is neither, or one of them is malformed.
    """
    url, key = (os.environ.get(name, "").strip() for name in (URL, KEY))
    if not url and not key:
        raise InputError(
            "OPENAI_BASE_URL: expected the address of a server, such as http://localhost:8080/v1, or a key of OpenAI "
            "in OPENAI_API_KEY, found neither; set one of them"
        )
    if url and not _is_address(url):
        raise InputError(f"{URL}: {EXPECTED}; fix it")
    check_key(key, KEY)
    return Address(url, key or "none")


def check_url(url: str, where: str) -> None:
    """Check an address that is written down, and so must not contain a secret.

    Raises:
        InputError: It is malformed, or has a user, a password or a query.
    """
    if not _is_address(url):
        raise InputError(f"{where}: {EXPECTED}; fix it")
    if "@" in urlsplit(url).netloc or urlsplit(url).query:
        raise InputError(f"{where}: expected an address without a password and without a query; name a key_variable")


def check_key(key: str, where: str) -> None:
    """Check that a key can be sent.

    Raises:
        InputError: It has characters that a header must not have.
    """
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{where}: expected printable ASCII, got other characters; fix it")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # a bad name raises, and so does a bad port
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False
