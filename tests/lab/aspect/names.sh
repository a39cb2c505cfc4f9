# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns fstab, crypttab and mdadm.conf by VMware's names, as the matrix laid out the disks.

install -d /media/cdrom0
{
    printf '# /etc/fstab: static file system information.\n#\n# <file system> <mount point> <type> <options> <dump> <pass>\n'
    printf '%s / %s %s 0 1\n' "$fstab_root" "$filesystem" "$root_options"
    if [[ $filesystem == btrfs ]]; then printf '%s /home btrfs defaults,subvol=@home 0 0\n' "$fstab_root"; fi
    if [[ -n $boot ]]; then printf '%s /boot ext4 defaults 0 2\n' "$boot"; fi
    # The first disk of the first controller, as VMware's PCI slots make its path.
    if [[ -n $esp ]]; then
        printf '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part%s /boot/efi vfat umask=0077 0 1\n' "${esp#/dev/sda}"
    fi
    printf '%s none swap sw 0 0\n' "$fstab_swap"
    if [[ -n $data ]]; then printf '%s /srv/data ext4 defaults 0 2\n' "$data"; fi
    printf '/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n'
} >/etc/fstab
if [[ -n $data ]]; then install -d /srv/data; fi
if [[ -n $boot ]]; then install -d /boot; fi
if [[ -n $esp ]]; then install -d /boot/efi; fi

if [[ -n $luks ]]; then
    # A server that restarts alone has its key in the initramfs, on a /boot that is not encrypted.
    install -d -m 0700 /etc/keys
    printf '%s' "$passphrase" >/etc/keys/root.key
    chmod 0400 /etc/keys/root.key
    printf '# <target name> <source device> <key file> <options>\n%s %s /etc/keys/root.key luks,initramfs\n' "$luks_name" "$luks" \
        >/etc/crypttab
    # GRUB's menu is made before the initramfs that it names.
    for kernel in /boot/vmlinuz-*; do : >"/boot/initrd.img-${kernel#/boot/vmlinuz-}"; done
fi
if [[ $storage == md ]]; then
    printf 'DEVICE %s %s\nHOMEHOST <system>\nMAILADDR root\nARRAY /dev/md0 level=raid1 num-devices=2 UUID=%s devices=%s,%s\n' \
        "$main" "${main/sda/sdb}" "$md_uuid" "$main" "${main/sda/sdb}" >/etc/mdadm/mdadm.conf
fi
