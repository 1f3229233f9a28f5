"""Whether a file belongs to a process that is still alive."""

import sys

if sys.platform != "win32":
    import fcntl


def try_lock(descriptor: int) -> bool | None:
    """Takes an open file or folder for this process, until it is closed or the process dies,
    however suddenly. False where another process has it, None where there are no such locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True
