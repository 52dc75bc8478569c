# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to this collection: OpenWrt's root file system archive becomes a container template, always the same bytes.

:func:`build_template` copies archive to archive. No file of the archive is ever unpacked, so owners and device nodes
stay right whoever runs it. The same source and the same defaults give the same template to the bit, on every machine:

* members are sorted by name; owners are numbers without names; every member carries one time, that of the source's
  ``etc/openwrt_release`` (the release's build date, which web browsers and OpenWrt's clock rely on to grow);
* headers and the gzip frame are written by :mod:`tar_writer`. An OpenWrt root file system is 10 to 15 MB unpacked and
  is read once for each container: what storing it costs in space is small.

One thing is always changed: preinit's failsafe mode is switched off. It puts 192.168.1.1/24 on the LAN port for two
seconds at each boot, whatever ``/etc/config/network`` says.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import hashlib
import io
import posixpath
import re
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pve.provision.plugins.module_utils._errors import ImageError
from ansible_collections.pve.provision.plugins.module_utils._io.compression import DISK_LIMITS, Limits, Stream
from ansible_collections.pve.provision.plugins.module_utils._io.files import atomic_file
from ansible_collections.pve.provision.plugins.module_utils._openwrt.tar_writer import (
    HOSTILE,
    Entry,
    GzipSink,
    write_tar,
)

Files = c.Mapping[str, tuple[int, bytes]]
"""Files to put into a root file system: path (relative, or absolute within the guest) -> (mode, content)."""

MAX_UNPACKED = 1 << 30
RELEASE_FILE = "etc/openwrt_release"
PREINIT_CONF = "lib/preinit/00_preinit.conf"
_SOME_TIME = 946684800  # seconds since the epoch: 2000-01-01
FOREIGN = {
    "etc/debian_version": "Debian",
    "etc/alpine-release": "Alpine",
    "etc/redhat-release": "Red Hat",
    "etc/arch-release": "Arch",
}
NOT_OPENWRT = "Use OpenWrt's own rootfs.tar.gz of the wanted target, as downloads.openwrt.org publishes it."


_PVE_ARCH = (("x86_64", "amd64"), ("i386", "i386"), ("aarch64", "arm64"), ("arm_", "armhf"), ("riscv64", "riscv64"))


# -- what release is it ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OpenWrtRelease:
    """What ``/etc/openwrt_release`` says. ``version`` is ``24.10.4`` or ``SNAPSHOT``, ``target`` ``x86/64``."""

    version: str
    target: str
    arch: str
    id: str = "OpenWrt"
    revision: str = ""

    @property
    def pve_arch(self) -> str:
        """PVE's name for the architecture, for ``--arch`` and for the template's name."""
        for prefix, name in _PVE_ARCH:
            if self.arch.startswith(prefix):
                return name
        raise ImageError(
            f"OpenWrt's architecture {self.arch!r} cannot run in a container on PVE.",
            remedy=f"Use a target of one of these: {', '.join(name for _other, name in _PVE_ARCH)}.",
        )


def parse_release(text: str) -> OpenWrtRelease:
    """Read the text of ``/etc/openwrt_release``; raises ImageError when it is not one."""
    values = {
        key: value for key, _other, value in re.findall(r"^DISTRIB_(\w+)=(['\"]?)(.*?)\2\s*$", text, re.MULTILINE)
    }
    missing = [f"DISTRIB_{key}" for key in ("RELEASE", "TARGET", "ARCH") if not values.get(key)]
    if missing:
        raise ImageError(f"{RELEASE_FILE} does not contain {', '.join(missing)}.", remedy=NOT_OPENWRT)
    return OpenWrtRelease(
        version=values["RELEASE"],
        target=values["TARGET"],
        arch=values["ARCH"],
        id=values.get("ID", "OpenWrt"),
        revision=values.get("REVISION", ""),
    )


def read_files(archive: Path, wanted: c.Collection[str]) -> dict[str, bytes]:
    """The content of some regular files of a root file system archive (gz, xz, bz2, zst or plain); stops when it has
    all of them, or at a file that only another distribution has. A file that is not there is left out."""
    names = set(wanted)
    found: dict[str, bytes] = {}
    with _tar_stream(archive) as tar:
        for member in tar:
            name = _inside(member.name)
            if name in names and member.isreg():
                source = tar.extractfile(member)
                found[name] = source.read() if source else b""
            if len(found) == len(names) or (name in FOREIGN and RELEASE_FILE in names):
                break
    return found


def read_release(archive: Path) -> OpenWrtRelease:
    """Which OpenWrt an archive or template holds; raises ImageError when it holds something else."""
    text = read_files(archive, [RELEASE_FILE]).get(RELEASE_FILE)
    if text is None:
        raise ImageError(f"{archive} is not an OpenWrt root file system: no {RELEASE_FILE}.", remedy=NOT_OPENWRT)
    return parse_release(text.decode("utf-8", "replace"))


def is_openwrt_template(archive: Path) -> bool:
    """Whether an archive holds an OpenWrt root file system. An archive that cannot be read raises ImageError."""
    return RELEASE_FILE in read_files(archive, [RELEASE_FILE])


# -- names and digests -------------------------------------------------------------------------------------------------
ONE_ROUTER = re.compile(r"openwrt-.+-router-[0-9a-f]{8}-lxc_[a-z0-9]+\.tar\.gz")
"""The name of a template that holds one router's configuration, secrets included."""


def template_name(version: str, arch: str, defaults: str | None = None, *, one_router: bool = False) -> str:
    """``openwrt-24.10.4-lxc_amd64.tar.gz``; with baked-in defaults their digest's first 8 digits come in between.

    ``arch`` is PVE's name, ``defaults`` what :func:`defaults_digest` said (None or empty: no defaults). The template of
    ``one_router`` alone is called so that it is known when a run that was killed has left it."""
    inner = f"{'router-' if one_router else ''}{defaults[:8]}-" if defaults else ""
    return f"openwrt-{version.lower()}-{inner}lxc_{arch}.tar.gz"


def defaults_digest(files: Files) -> str | None:
    """One SHA-256 over paths, modes and contents of baked-in files; None when there are none."""
    if not files:
        return None
    digest = hashlib.sha256()
    for path, (mode, content) in sorted((_declared(path), entry) for path, entry in files.items()):
        digest.update(f"{path}\0{mode & 0o7777:o}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


# -- the template ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TemplateInfo:
    """A template: ``path`` is None when it was only worked out, ``digest`` is SHA-256, ``size`` in bytes."""

    path: Path | None
    digest: str
    size: int
    release: OpenWrtRelease


def build_template(source: Path, target: Path | None, files: Files | None = None, *, mode: int = 0o644) -> TemplateInfo:
    """Make a container template, with a mode, out of OpenWrt's ``rootfs.tar.gz``.

    ``files`` are added or put in place of those of the source. ``target`` None works out digest and size and writes
    nothing. The target appears whole or not at all. Raises ImageError when the source is damaged, is not OpenWrt, or
    holds members that reach out of the tree."""
    try:
        with tempfile.TemporaryFile(dir=target.parent if target else None) as plain:
            with _plain(source) as archive:
                for block in archive.blocks():
                    plain.write(block)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
                tree = _tree(tar)
                release = _check(tree, source)
                _overlay(tree, files or {})
                with contextlib.ExitStack() as stack:
                    sink = GzipSink(stack.enter_context(atomic_file(target, mode)) if target else None)
                    write_tar(tree, sink)
    except (tarfile.TarError, RecursionError) as error:
        raise ImageError(f"{source} is not a readable tar archive: {error}.", remedy="Fetch it again.") from error
    except OSError as error:
        raise ImageError(
            f"No template can be made of {source}: {error}.", remedy="Check the file, and the space where it is to lie."
        ) from error
    return TemplateInfo(path=target, digest=sink.digest.hexdigest(), size=sink.size, release=release)


def pack_files(files: Files) -> bytes:
    """The files alone as a ``tar.gz`` (stored, sorted, root's), to be unpacked over a root file system. The same files
    give the same bytes."""
    stream = io.BytesIO()
    entries = {_declared(path): _file(mode, content, _SOME_TIME) for path, (mode, content) in files.items()}
    write_tar(entries, GzipSink(stream))
    return stream.getvalue()


def _file(mode: int, content: bytes, mtime: int) -> Entry:
    return Entry(tarfile.REGTYPE, mode & 0o7777, size=len(content), mtime=mtime, content=lambda: io.BytesIO(content))


def _tree(tar: tarfile.TarFile) -> dict[str, Entry]:
    """The members by path; where a path occurs twice the last one wins, as when unpacking."""
    tree: dict[str, Entry] = {}
    for member in tar:
        name = _inside(member.name)
        tree[name] = _entry(tar, name, member, tree)
    for name in tree:
        _refuse_beneath_a_link(tree, name, "an archive member")
    return tree


def _entry(tar: tarfile.TarFile, name: str, member: tarfile.TarInfo, tree: dict[str, Entry]) -> Entry:
    entry = Entry(
        member.type,
        member.mode & 0o7777,
        member.uid,
        member.gid,
        mtime=int(member.mtime),
        xattrs={key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")},
    )
    if member.isreg():
        entry.type, entry.size, entry.content = tarfile.REGTYPE, member.size, lambda: tar.extractfile(member)
    elif member.islnk():
        original = tree.get(_inside(member.linkname))
        if original is None or original.type != tarfile.REGTYPE:
            raise ImageError(f"{name} is a hard link to no file of the archive: {member.linkname!r}.", remedy=HOSTILE)
        return original  # one object under several names: written once, linked afterwards
    elif member.issym():
        entry.link = member.linkname
        if posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.link)).split("/")[0] == "..":
            raise ImageError(f"{name} is a link out of the tree, to {entry.link!r}.", remedy=HOSTILE)
    elif member.ischr() or member.isblk():
        if not name.startswith("dev/"):
            raise ImageError(f"{name} is a device node outside dev.", remedy=HOSTILE)
        entry.device = (member.devmajor, member.devminor)
    elif not member.isdir():
        raise ImageError(f"{name} is neither file, directory, link nor device.", remedy=HOSTILE)
    return entry


def _inside(name: str) -> str:
    """A member's path below the root, ``.`` for the root; refuses what leaves it."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ImageError(f"The archive holds a member outside its tree: {name!r}.", remedy=HOSTILE)
    return posixpath.normpath(name)


def _declared(path: str) -> str:
    """A declared file's path below the root."""
    name = _inside(path.lstrip("/"))
    if name == ".":
        raise ImageError(f"{path!r} is not a path of a file.", remedy="Give the path that the file has in the guest.")
    return name


def _parents(name: str) -> c.Iterator[str]:
    while name := posixpath.dirname(name):
        yield name


def _refuse_beneath_a_link(tree: dict[str, Entry], name: str, what: str) -> None:
    for parent in _parents(name):
        if parent in tree and tree[parent].type != tarfile.DIRTYPE:
            raise ImageError(f"{name} is {what} beneath {parent}, which is not a directory.", remedy=HOSTILE)


def _check(tree: dict[str, Entry], source: Path) -> OpenWrtRelease:
    release = tree.get(RELEASE_FILE)
    if release is None or release.type != tarfile.REGTYPE:
        other = next((f" It looks like {name}." for path, name in FOREIGN.items() if path in tree), "")
        raise ImageError(f"{source} is not an OpenWrt root file system: no {RELEASE_FILE}.{other}", remedy=NOT_OPENWRT)
    if "sbin/init" not in tree:
        raise ImageError(f"{source} holds no sbin/init, so nothing could start in it.", remedy=NOT_OPENWRT)
    return parse_release(release.read().decode("utf-8", "replace"))


def _overlay(tree: dict[str, Entry], files: Files) -> None:
    """Switch failsafe off and put the declared files in, with the directories they need."""
    mtime = tree[RELEASE_FILE].mtime
    for entry in tree.values():
        entry.mtime = mtime
    conf = tree.get(PREINIT_CONF)
    text = without_failsafe(conf.read().decode("utf-8", "surrogateescape") if conf else "")
    switched = {PREINIT_CONF: (conf.mode if conf else 0o644, text.encode("utf-8", "surrogateescape"))}
    for name, (mode, content) in {**switched, **{_declared(path): entry for path, entry in files.items()}}.items():
        if name in tree and tree[name].type == tarfile.DIRTYPE:
            raise ImageError(f"The declared file {name} is a directory in OpenWrt.", remedy="Choose another path.")
        _refuse_beneath_a_link(tree, name, "a declared file")
        tree[name] = _file(mode, content, mtime)
        for parent in _parents(name):
            tree.setdefault(parent, Entry(tarfile.DIRTYPE, 0o755, mtime=mtime))


def without_failsafe(text: str) -> str:
    """``00_preinit.conf`` with failsafe mode switched off."""
    kept = [line for line in text.splitlines() if not line.startswith("pi_preinit_no_failsafe=")]
    return "\n".join([*kept, 'pi_preinit_no_failsafe="y"', ""])


def _plain(archive: Path) -> Stream:
    """The plain tar of an archive, bounded."""
    return Stream(archive, Limits(size=MAX_UNPACKED, ratio=DISK_LIMITS.ratio))


@contextlib.contextmanager
def _tar_stream(archive: Path) -> c.Iterator[tarfile.TarFile]:
    """An archive opened for reading from front to back, whatever compresses it."""
    try:
        with (
            _plain(archive) as plain,
            tarfile.open(fileobj=t.cast("t.IO[bytes]", plain), mode="r|") as tar,
        ):
            yield tar
    except (tarfile.TarError, RecursionError) as error:
        raise ImageError(f"{archive} is not a readable tar archive: {error}.", remedy="Fetch it again.") from error
    except OSError as error:
        raise ImageError(f"{archive} cannot be read: {error}.", remedy="Check that the file exists.") from error
