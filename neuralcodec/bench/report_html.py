"""The report of a bench for the browser: one file that asks for nothing from elsewhere.

Curves to hover, tables, and chosen frames of any two codecs side by side. Names of files come
from outside and can hold anything: they stand in the page as JSON alone, in which `<` is
escaped, scripts put them into text nodes, and the page's policy runs no script but its own.
"""

import base64
import hashlib
import json
import re
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.bench.report_pictures import Album
from neuralcodec.bench.results import BenchResults
from neuralcodec.version import __version__

_ASSETS = resources.files("neuralcodec.bench") / "report"
# One after the other they are one script.
_SCRIPTS = (
    "data",
    "dom",
    "state",
    "looks",
    "chart",
    "savings",
    "tables",
    "viewer",
    "gestures",
    "page",
)


def write_html(results: BenchResults, path: Path) -> None:
    """Writes the report, over an older one.

    The pictures that the results name are embedded without loss. Raises InputError where one of
    them cannot be read and OutputError where the report cannot be written.
    """
    style = _asset("report.css")
    script = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    album = Album.of(results)
    parts = {
        "policy": (
            f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
            f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
        ),
        "generator": f"ncodec {__version__}",
        "style": style,
        "script": script,
        "results": _as_json(_with_numbered_pictures(asdict(results), album)),
        "pictures": _as_json({"note": album.note, "uris": album.uris}),
    }
    page = re.sub(r"<!--(\w+)-->", lambda place: parts[place[1]], _asset("page.html"))
    with AtomicFile(path, overwrite=True) as out:
        out.file.write(page.encode("utf-8"))


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """How a content security policy names the one inline script or style it lets in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _as_json(value: Any) -> str:
    """JSON that no HTML parser can take for the end of its element, in ASCII alone."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _with_numbered_pictures(results: dict[str, Any], album: Album) -> dict[str, Any]:
    """In place: numbers in the album instead of paths that mean nothing to other readers."""
    for shown in (*results["clips"], *results["points"]):
        shown["pictures"] = [
            {
                "frame": picture["frame"],
                "picture": album.numbers[picture["path"]],
                "psnr_yuv": picture["psnr_yuv"],
            }
            for picture in shown["pictures"]
        ]
    return results
