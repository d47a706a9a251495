"""What a program must never show: the secrets in the files and in the environment that it was given."""

import base64
import contextlib
import re
from pathlib import Path

KEY_TEXT = re.compile(rb"(?<![a-z0-9])sl[ks]1([a-z2-7]{56})", re.IGNORECASE)
HEX_TEXT = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", re.IGNORECASE)
KEY_BYTES = 32
FILE_BYTES = 8 << 10  # no file of keys is longer
SHOWN_CHARS = 24  # so much of the text of a key is no accident, and no name of a file of the tests


def values_in(content: bytes) -> set[bytes]:
    """The keys in the content of a file or a variable, in any form that the programs take."""
    texts = (base64.b32decode(text.upper())[:KEY_BYTES] for text in KEY_TEXT.findall(content))
    return {*texts, *(bytes.fromhex(text.decode()) for text in HEX_TEXT.findall(content))}


def files_of(argv: list[str], env: dict[str, str]) -> list[Path]:
    """Files that may hold keys: those named in the arguments, and those of the state directory."""
    named = [Path(part) for word in argv[1:] for part in {word, word.partition("=")[2]} if part]
    found = named + [Path(env[name]) for name in ("STX_KEY_FILE",) if name in env]
    for folder in [Path(env[name]) for name in ("SEALINE_STATE_DIR", "CREDENTIALS_DIRECTORY") if name in env]:
        with contextlib.suppress(OSError):
            found += folder.iterdir()
    return found


def secrets_of(argv: list[str], env: dict[str, str] | None) -> set[bytes]:
    env = env or {}
    values = values_in(env.get("STX_KEY", "").encode())
    for path in files_of(argv, env):
        with contextlib.suppress(OSError, ValueError):
            if path.is_file() and path.stat().st_size <= FILE_BYTES:
                values |= values_in(path.read_bytes())
    return values


def shown_secret(argv: list[str], env: dict[str, str] | None, text: bytes) -> str:
    """In which form a run shows a secret of its own in what it printed; empty: it does not."""
    if "--new-seed" in argv or (argv[1:] or [""])[0] == "key":  # whose work it is to show one
        return ""
    for value in secrets_of(argv, env):
        forms = {
            "key text": (base64.b32encode(value).lower(), text.lower()),
            "hex": (value.hex().encode(), text.lower()),
            "base64": (base64.b64encode(value), text),
        }
        for name, (needle, haystack) in forms.items():
            if needle[:SHOWN_CHARS] in haystack:
                return name
    return ""
