"""Commands that are printed for the user to run."""

import os
import shlex


def file_word(name: str | os.PathLike[str]) -> str:
    """A file's name as an argument that a shell and a program take for that file, whatever it is
    called: quoted, and with './' where it would be an option.

    Names that no terminal shows are written in $'...', which bash, zsh and ksh understand.
    """
    text = os.fspath(name)
    if text.startswith("-"):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    # Bytes that are no UTF-8 are surrogates in Python's names.
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
