"""Makes the UEFI variables of a machine that once booted a disk: fresh ones plus one boot entry.

Owns the little that is needed of edk2's variable store. Usage: nvram.py FRESH-VARIABLES RAW-DISK LOADER-PATH OUT, the path as
in \\EFI\\debian\\shimx64.efi on the disk's ESP.
"""

import struct
import sys
import uuid

GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
AUTHENTICATED_STORE = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
NON_VOLATILE_BOOT_RUNTIME = 7
VARIABLE_START = 0x55AA
VARIABLE_HEADER = struct.Struct("<HBxIQ16xIII16s")


def text(string):
    return string.encode("utf-16-le") + b"\0\0"


def esp(disk):
    """Number, first sector, sectors and GUID of the first ESP in a GPT with sectors of 512 bytes."""
    disk.seek(512)
    header = disk.read(92)
    if header[:8] != b"EFI PART":
        sys.exit("no GPT on this disk")
    table, count, length = struct.unpack_from("<QII", header, 72)
    disk.seek(table * 512)
    for number in range(1, count + 1):
        entry = disk.read(length)
        if uuid.UUID(bytes_le=entry[:16]) == ESP_TYPE:
            first, last = struct.unpack_from("<QQ", entry, 32)
            return number, first, last - first + 1, entry[16:32]
    sys.exit("no ESP on this disk")


def load_option(label, partition, path):
    number, first, sectors, guid = partition
    hard_drive = struct.pack("<BBHIQQ16sBB", 4, 1, 42, number, first, sectors, guid, 2, 2)
    file = struct.pack("<BBH", 4, 4, 4 + len(text(path))) + text(path)
    end = struct.pack("<BBH", 0x7F, 0xFF, 4)
    paths = hard_drive + file + end
    return struct.pack("<IH", 1, len(paths)) + text(label) + paths


def variable(name, data):
    header = VARIABLE_HEADER.pack(
        VARIABLE_START, 0x3F, NON_VOLATILE_BOOT_RUNTIME, 0, 0, len(text(name)), len(data), GLOBAL_VARIABLE.bytes_le
    )
    whole = header + text(name) + data
    return whole + b"\xff" * (-len(whole) % 4)


def first_free(store):
    """Where the next variable goes: after the volume's header, the store's header and the variables there are."""
    if store[40:44] != b"_FVH":
        sys.exit("not a firmware volume")
    at = struct.unpack_from("<H", store, 48)[0]
    if uuid.UUID(bytes_le=bytes(store[at : at + 16])) != AUTHENTICATED_STORE:
        sys.exit("not an authenticated variable store")
    at += 28
    while struct.unpack_from("<H", store, at)[0] == VARIABLE_START:
        fields = VARIABLE_HEADER.unpack_from(store, at)
        at += VARIABLE_HEADER.size + fields[5] + fields[6]
        at += -at % 4
    return at


def main(fresh, disk_path, loader, out):
    with open(fresh, "rb") as file:
        store = bytearray(file.read())
    with open(disk_path, "rb") as disk:
        partition = esp(disk)
    added = variable("Boot0000", load_option("debian", partition, loader)) + variable("BootOrder", struct.pack("<H", 0))
    at = first_free(store)
    store[at : at + len(added)] = added
    with open(out, "wb") as file:
        file.write(store)


if __name__ == "__main__":
    main(*sys.argv[1:])
