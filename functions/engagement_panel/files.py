"""What the page is made of, read once: its files under one address that changes with any of them."""

import gzip
import hashlib
from dataclasses import dataclass
from html import escape
from pathlib import Path

_FOLDER = Path(__file__).parent
# Modules are refused by browsers unless they are announced as what they are.
_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    body: bytes
    compressed: bytes
    media_type: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> "File":
        """A file and its compressed form, which is the same on every instance."""
        return cls(body, gzip.compress(body, mtime=0), media_type)


@dataclass(frozen=True, slots=True)
class Files:
    """The page, and the files it names by `version`: what a name stands for never changes, so that it can be kept."""

    page: str
    assets: dict[str, File]
    version: str

    @classmethod
    def read(cls, folder: Path = _FOLDER) -> "Files":
        """Read them from disk."""
        assets = {
            path.relative_to(folder / "assets").as_posix(): File.of(path.read_bytes(), _MEDIA_TYPES[path.suffix])
            for path in sorted((folder / "assets").rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }
        total = hashlib.sha256()
        for name, file in assets.items():
            total.update(f"{hashlib.sha256(file.body).hexdigest()}  {name}\n".encode())
        return cls((folder / "page.html").read_text(encoding="utf-8"), assets, total.hexdigest()[:16])

    def page_for(self, name: str, url: str, key: str) -> File:
        """The page for one project. Its values stand in attributes, escaped: no script is made of any setting."""
        values = {"assets": f"{name}/assets/{self.version}", "url": url, "key": key}
        page = self.page
        for word, value in values.items():
            page = page.replace(f"{{{{{word}}}}}", escape(value))
        return File.of(page.encode(), "text/html; charset=utf-8")
