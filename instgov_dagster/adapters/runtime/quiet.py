"""What libraries log of the addresses they ask, kept out of every log: keys stand in them."""

import logging
from typing import Final

#: It logs each request's path and query at DEBUG: a provider's key, a webhook's token.
_TALKS_OF_ADDRESSES: Final = "urllib3.connectionpool"


def keep_addresses_quiet() -> None:
    """Hold the libraries' own logs above DEBUG, whatever level the process logs at."""
    logger = logging.getLogger(_TALKS_OF_ADDRESSES)
    logger.setLevel(max(logger.level, logging.INFO))
