"""Files that are either whole or absent."""

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from organnet.errors import OrganNetError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, since writers choose the format by it.
    Raises OrganNetError when the folder cannot be written or the disk is full.
    """
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".nii.gz") else path.suffix
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.stem}-{secrets.token_hex(4)}{suffix}"
        temporary.touch(exist_ok=False)  # as open as the user's umask lets it, unlike tempfile's
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        _onto_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _onto_disk(path: Path) -> None:
    """Wait until the bytes are where a power cut cannot take them: a new name may come before."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> Path:
    """Create a folder (and its parents) that can be written to.

    Raises OrganNetError where it cannot be made, is a file, or is not writable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def move(path: Path, target: Path) -> None:
    """Give a whole file its place on the same disk, instead of what was there.

    Raises OrganNetError where that cannot be.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error


def remove(path: Path) -> None:
    """Remove a file, where it is there; raises OrganNetError where it may not be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OrganNetError(
            f"cannot remove {path} ({error.strerror}): choose a folder that you may write to"
        ) from error


def write_json(path: Path, content: object) -> None:
    """Write `content` as indented JSON; NaN and infinity are refused, since JSON has neither."""
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """Read a JSON object; raises OrganNetError where the file is absent or is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OrganNetError(f"{path} does not exist: check the path") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise OrganNetError(
            f"{path} is not readable JSON ({error}): correct or remove it"
        ) from error
    if not isinstance(content, dict):
        raise OrganNetError(f"{path} holds no JSON object: correct or remove it")
    return content


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex; raises OrganNetError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OrganNetError(
            f"{path} cannot be read ({error.strerror}): check its permissions"
        ) from error


def subfolders(root: Path) -> list[Path]:
    """Visible folders in `root`, sorted; raises OrganNetError where root is no readable folder."""
    if not root.exists():
        raise OrganNetError(f"{root} does not exist: give the folder that holds the cases")
    if not root.is_dir():
        raise OrganNetError(f"{root} is a file: give the folder that holds the cases")
    return [path for path in visible(root) if os.path.isdir(path)]


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, hidden files left out; OrganNetError where it is closed."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise OrganNetError(
            f"{folder} cannot be read ({error.strerror}): check its permissions"
        ) from error


def _cannot_write(path: Path, error: OSError) -> OrganNetError:
    reason = error.strerror or str(error)
    return OrganNetError(
        f"cannot write {path} ({reason}): choose a folder with free space that you may write to"
    )
