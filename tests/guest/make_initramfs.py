#!/usr/bin/env python3
"""Builds an initramfs (cpio "newc", uncompressed) around busybox.

The archive depends only on its inputs: times and inode numbers are fixed, device nodes are
written without root rights. Format: Linux Documentation/driver-api/early-userspace/buffer-format.
"""
import argparse
import pathlib
import stat
import subprocess

FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "root")
CONSOLE = (5, 1)


class Archive:
    def __init__(self):
        self.data = bytearray()
        self.entries = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.entries += 1
        name_bytes = name.encode() + b"\0"
        fields = (self.entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name_bytes), 0)
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + name_bytes
        self._align(4)
        self.data += content
        self._align(4)

    def finish(self):
        self.add("TRAILER!!!", 0)
        self._align(512)
        return bytes(self.data)

    def _align(self, boundary):
        self.data += bytes(-len(self.data) % boundary)


def applets(busybox):
    listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    return sorted(set(listed.stdout.split()) - {"busybox"})


def build(busybox, files):
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=CONSOLE)
    archive.add("bin/busybox", stat.S_IFREG | 0o755, pathlib.Path(busybox).read_bytes())
    for applet in applets(busybox):
        archive.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
    for name, path in files:
        archive.add(name, stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())
    return archive.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busybox", default="/bin/busybox", help="a static busybox")
    parser.add_argument("--output", required=True)
    parser.add_argument("files", nargs="+", metavar="GUEST_NAME=FILE")
    options = parser.parse_args()
    files = [item.split("=", 1) for item in options.files]
    pathlib.Path(options.output).write_bytes(build(options.busybox, files))


if __name__ == "__main__":
    main()
