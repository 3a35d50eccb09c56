"""API keys: who may ask. A file of ``name:key`` lines; in memory only their hashes, in the log only the names."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path

from nlpladder.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[!-~]{16,256}")


class ApiKeys:
    """Tells whose key a request carries.

    The keys are random and long, so that one round of SHA-256 is enough: there is nothing to guess. Every key is
    compared each time, in time that does not depend on where two differ.

    Args:
        keys: Name to key.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._hashes = {name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()}

    def __len__(self) -> int:
        return len(self._hashes)

    def name_of(self, authorization: str | None) -> str | None:
        """Return the name of a key.

        Args:
            authorization: The header, ``Bearer KEY``.

        Returns:
            None if there is no header, or no such key.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return None
        hashed = hashlib.sha256(key.strip().encode("utf-8", "replace")).digest()
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(hashed, known):
                found = name
        return found


def read_keys(path: str | os.PathLike[str]) -> ApiKeys:
    """Read a file of keys: a line ``name:key`` each; blank lines and lines that begin with # are skipped.

    Raises:
        ConfigError: The file cannot be read, holds no key, or a line is no key, too short a key, or one that stands
            there already. No message repeats a key.
    """
    place = Path(path)
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            "is not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or "cannot be read").lower()
        )
        raise ConfigError(f"--api_keys: {place}: {reason}. Give a file with one name:key a line.") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, key = (part.strip() for part in line.partition(":"))
        where = f"--api_keys: {place}, line {number}"
        if not colon or _NAME.fullmatch(name) is None:
            raise ConfigError(f"{where}: expected name:key, the name of 1 to 64 letters, digits, dots, _ or -.")
        if _KEY.fullmatch(key) is None:
            raise ConfigError(
                f"{where}: the key of {name!r} must have 16 to 256 visible ASCII characters and no blank. "
                'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        if name in keys:
            raise ConfigError(f"{where}: the name {name!r} stands there already.")
        if key in keys.values():
            raise ConfigError(f"{where}: the key of {name!r} is another one's key already.")
        keys[name] = key
    if not keys:
        raise ConfigError(f"--api_keys: {place} holds no key. Give a file with one name:key a line.")
    return ApiKeys(keys)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, *, has_keys: bool, without_keys: bool) -> None:
    """Refuse to listen where others can ask, when nobody is asked for a key and nobody said that this is wanted.

    Raises:
        ConfigError: Says the three ways out.
    """
    if not is_loopback(host) and not has_keys and not without_keys:
        raise ConfigError(
            f"--host {host} can be reached from other machines, and nobody would be asked for a key. Give "
            "--api_keys FILE (one name:key a line), or --without_keys true if something in front asks, or leave --host "
            "at 127.0.0.1."
        )
