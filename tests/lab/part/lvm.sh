# shellcheck shell=bash
# Owns LVM on a raw disk without a device mapper: the metadata is written through a loop device, and where a volume's bytes
# lie is worked out from it.

: "${work:?}"

# new_volume_group DISK OFFSET BYTES GROUP NAME=SIZE...: makes the volumes, and prints "NAME OFFSET BYTES" for each, the
# offset being in the disk. SIZE is what lvcreate understands, or N%FREE.
new_volume_group() {
    (
        loop=$(losetup --find --show --offset "$2" --sizelimit "$3" "$1")
        trap 'losetup --detach "$loop"' EXIT
        trap 'exit 130' INT TERM HUP
        lvm_on "$loop" pvcreate -q -q "$loop" >&2
        lvm_on "$loop" vgcreate -q -q "$4" "$loop" >&2
        for volume in "${@:5}"; do
            unit=--size
            [[ $volume != *%FREE ]] || unit=--extents
            lvm_on "$loop" lvcreate -q -q -an -Zn -Wn "$unit" "${volume#*=}" --name "${volume%%=*}" "$4" >&2
        done
        start=$(lvm_on "$loop" pvs --noheadings --nosuffix --units b -o pe_start "$loop")
        # One row for each segment; a fresh volume has one. seg_pe_ranges is DEVICE:FIRST-LAST.
        lvm_on "$loop" lvs --noheadings --nosuffix --units b --separator ' ' \
            -o lv_name,seg_pe_ranges,vg_extent_size,lv_size --sort seg_pe_ranges "$4" |
            while read -r volume range extent bytes; do
                first=${range##*:}
                printf '%s %s %s\n' "$volume" $(($2 + start + ${first%-*} * extent)) "$bytes"
            done
    )
}

# lvm_on LOOP COMMAND...: the command sees this one device, waits for no udev, and leaves no trace on the builder. What it
# warns of (no device mapper, no backup) is wanted, so it is shown only when the command fails.
lvm_on() {
    local loop=$1 command=$2 warnings status=0
    shift 2
    warnings=$(mktemp "$work/lvm.XXXXXX")
    LVM_SUPPRESS_FD_WARNINGS=1 "$command" --driverloaded n --config "
        devices { filter=[\"a|^$loop\$|\", \"r|.*|\"] use_devicesfile=0 obtain_device_list_from_udev=0 }
        backup { backup=0 archive=0 }
        activation { udev_sync=0 udev_rules=0 }" "$@" 2>"$warnings" || status=$?
    ((status == 0)) || cat "$warnings" >&2
    rm "$warnings"
    return "$status"
}
