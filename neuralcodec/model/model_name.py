"""What a model may be called."""

MAX_NAME_BYTES = 255  # as much as the header of an .nlc file holds


def check_name(name: object) -> str:
    """A model's name ends up in headers, on terminals and in paths. Raises ValueError."""
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= MAX_NAME_BYTES:
        raise ValueError("a model name that cannot be shown")
    if name.startswith(".") or set(name) & set("/\\") or len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"a model cannot be named {name!r}")
    return name
