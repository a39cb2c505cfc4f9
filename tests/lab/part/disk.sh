# shellcheck shell=bash
# Owns putting a guest's tree onto a raw disk without mounting anything: partition tables, filesystems at an offset, swap,
# the BIOS boot code. A recipe's make_disk puts these together.

readonly MiB=1048576
export MiB
: "${work:?}"

# new_disk DISK BYTES < SFDISK-SCRIPT
new_disk() {
    truncate --size="$2" "$1"
    sfdisk --quiet --no-reread --no-tell-kernel "$1"
}

# put_ext4 TREE DISK OFFSET BYTES UUID
# The features left out are ones that GRUB 2.06 cannot read and that newer builders switch on; the tables are written
# now so that the guest's first boot does not.
put_ext4() {
    mke2fs -q -F -t ext4 -b 4096 -m 1 -U "$5" -O '^metadata_csum_seed,^orphan_file' \
        -E "offset=$3,lazy_itable_init=0,lazy_journal_init=0" -d "$1" "$2" "$(($4 / 1024))k"
}

# put_swap DISK OFFSET BYTES UUID
put_swap() {
    local swap
    swap=$(mktemp "$work/swap.XXXXXX")
    truncate --size="$3" "$swap"
    mkswap --quiet --uuid "$4" "$swap"
    put_file "$swap" "$1" "$2"
    rm "$swap"
}

# put_file FILE DISK OFFSET: offset in whole MiB or sectors; holes stay holes.
put_file() {
    dd if="$1" of="$2" bs=64K conv=notrunc,sparse oflag=seek_bytes seek="$3" status=none
}

# put_bios_grub ROOT DISK: GRUB's boot sector and its core, taken from the guest, into the gap before the first partition.
# grub-install would want partition nodes of a loop device, which not every builder has.
put_bios_grub() {
    local grub=$1/boot/grub/i386-pc
    (($(stat -c %s "$grub/core.img") <= 2047 * 512)) || fail "GRUB's core does not fit before the first partition"
    dd if="$grub/boot.img" of="$2" bs=440 count=1 conv=notrunc status=none
    dd if="$grub/core.img" of="$2" bs=512 seek=1 conv=notrunc status=none
}

# put_fat TREE DISK OFFSET BYTES ID: without mounting, which would need vfat in the builder's kernel.
put_fat() {
    local fat
    fat=$(mktemp "$work/fat.XXXXXX")
    truncate --size="$4" "$fat"
    mkfs.fat -F 32 -i "$5" "$fat" >/dev/null
    mcopy -s -Q -i "$fat" "$1"/* ::
    put_file "$fat" "$2" "$3"
    rm "$fat"
}
