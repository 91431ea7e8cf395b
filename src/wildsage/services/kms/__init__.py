"""Key Management Service: symmetric keys, their aliases, and encryption with them."""

from __future__ import annotations

from wildsage.services.kms import aliases, encryption, keys, tags

OPERATIONS = {
    **keys.OPERATIONS,
    **aliases.OPERATIONS,
    **encryption.OPERATIONS,
    **tags.OPERATIONS,
}
