# shellcheck shell=bash
# shellcheck disable=SC2034 # read by part/build and, exported, by inside.sh
# Guest (a): Bookworm, BIOS, MBR, everything named the way VMware names it. Owns the guest's data and its disk layout.
: "${lab:?}" "${MiB:?}"

suite=bookworm
packages=linux-image-amd64,initramfs-tools,grub-pc,systemd-sysv,udev,dbus,kmod,e2fsprogs,zstd,login,passwd,cron
packages+=,ifupdown,iproute2,iputils-ping,openssh-server,open-vm-tools,procps
uses=("$lab/aspect/identity.sh" "$lab/aspect/patience.sh")
inside=("$lab/aspect/identity.sh" "$lab/aspect/patience.sh" "$lab/recipe/bookworm-bios/inside.sh")

firmware=bios
hostname=bookworm-bios
address=10.0.2.77
mac=00:50:56:2a:77:01
mac_type=static
guest_os=debian12-64
bios_uuid='56 4d 1b 0e 5d 20 9c 41-8f 3a 6e 77 0c 54 be 01'
machine_id=8d2f6f0be57d4c0f9b3c1a7e55aa7701
capacity=$((4096 * MiB))

root_uuid=3f0c1e52-9a54-4a57-8f61-6e2c9a0d7701
swap_uuid=0b7fd1c4-2a0e-4a86-a1c9-77e0d45b7702

# What years on VMware wrote into the guest's files.
fstab_root=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1
fstab_swap=/dev/sda5
resume=/dev/sda5
grub_disable_uuid=true

# What the guest's grub-probe would say (part/grub-says); a function because a variant changes the UUID.
grub_answers() {
    cat <<ANSWERS
root device /dev/sda1
root fs ext2
root fs_uuid $root_uuid
root partuuid 5a1c77d2-01
root partmap msdos
root hint hd0,msdos1
ANSWERS
}
grub_says=$(grub_answers)

# In sectors; the logical partition sits where Debian's installer puts it.
root_start=2048
root_size=7337984
swap_start=7342080
swap_size=1046528

make_disk() {
    new_disk "$2" "$capacity" <<LAYOUT
label: dos
label-id: 0x5a1c77d2
start=$root_start, size=$root_size, type=83, bootable
start=$((swap_start - 2)), size=$((swap_size + 2)), type=5
start=$swap_start, size=$swap_size, type=82
LAYOUT
    put_bios_grub "$1" "$2"
    put_ext4 "$1" "$2" $((root_start * 512)) $((root_size * 512)) "$root_uuid"
    put_swap "$2" $((swap_start * 512)) $((swap_size * 512)) "$swap_uuid"
}
