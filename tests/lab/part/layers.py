"""Splits a raw disk into the layers of a snapshot chain.

Owns which stripe of the disk is decided by which layer. Usage: layers.py DISK FOLDER; leaves FOLDER/base.raw, and for each
snapshot N the qemu-io commands FOLDER/N.qemu-io with the bytes they write beside them.

A stripe is 1 MiB. Some stripes that hold data are "older" in the base, some older still to be in the base and older in
snapshot 1; and some stripes that are empty in the end held data that a snapshot zeroed.
"""

import os
import subprocess
import sys

STRIPE = 1 << 20
# One stripe in this many is touched by a snapshot, and at most so many, evenly spread: enough to need every layer.
ONE_IN = 8
AT_MOST = 96
ZEROED = 4


def stripes_with_data(disk, size):
    """The numbers of the stripes that are not holes, and of those that are, in order."""
    data = set()
    end = 0
    while end < size:
        try:
            start = os.lseek(disk, end, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(disk, start, os.SEEK_HOLE)
        data.update(range(start // STRIPE, (end - 1) // STRIPE + 1))
    holes = [n for n in range(size // STRIPE) if n not in data]
    return sorted(data), holes


def older(content, age):
    """What a stripe held before: the same length, other bytes everywhere."""
    key = (0x5A, 0xA5)[age]
    return content.translate(bytes(byte ^ key for byte in range(256)))


def main(path, folder):
    base_path = os.path.join(folder, "base.raw")
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", path, base_path], check=True)
    os.chmod(base_path, 0o600)
    disk = os.open(path, os.O_RDONLY)
    base = os.open(base_path, os.O_RDWR)
    data, holes = stripes_with_data(disk, os.fstat(disk).st_size)

    # Stripe 1 holds the first partition's superblock; whole stripes only.
    step = max(ONE_IN, len(data) // AT_MOST)
    touched = sorted({1, *data[step::step]})
    commands = {1: [], 2: []}

    def write(layer, stripe, content):
        file = os.path.join(folder, f"{layer}-{stripe}.bytes")
        with open(file, "wb") as out:
            out.write(content)
        commands[layer].append(f"write -q -s {file} {stripe * STRIPE} {STRIPE}")

    for turn, stripe in enumerate(touched):
        content = os.pread(disk, STRIPE, stripe * STRIPE)
        os.pwrite(base, older(content, 0), stripe * STRIPE)
        if turn % 3 == 0:
            write(1, stripe, older(content, 1))
            write(2, stripe, content)
        else:
            write(turn % 3, stripe, content)
    for turn, stripe in enumerate(holes[:: max(1, len(holes) // ZEROED)]):
        os.pwrite(base, b"deleted\n" * (STRIPE // 8), stripe * STRIPE)
        commands[1 + turn % 2].append(f"write -q -z {stripe * STRIPE} {STRIPE}")

    for layer, lines in commands.items():
        with open(os.path.join(folder, f"{layer}.qemu-io"), "w", encoding="ascii") as out:
            out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
