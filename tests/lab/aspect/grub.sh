# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns GRUB's menu with the root by VMware's name, and its core where the firmware finds it: on UEFI behind shim in
# \EFI\debian, which only the NVRAM names.

sed -i -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
    -e "s|^GRUB_CMDLINE_LINUX=.*|GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200 $arguments\"|" \
    -e 's/^#*GRUB_DISABLE_LINUX_UUID=.*/GRUB_DISABLE_LINUX_UUID=true/' \
    -e 's/^#*GRUB_TERMINAL=.*/GRUB_TERMINAL=console/' /etc/default/grub
install -d "/boot/grub/$grub_target"
cp /usr/lib/grub/"$grub_target"/*.mod /usr/lib/grub/"$grub_target"/*.lst "/boot/grub/$grub_target/"
if [[ $firmware == bios ]]; then
    cp /usr/lib/grub/i386-pc/boot.img /boot/grub/i386-pc/
    printf "search.fs_uuid %s root\nset prefix=(\$root)%s/grub\n" "$grub_uuid" "$grub_boot" >/tmp/core.cfg
    grub-mkimage -O i386-pc -c /tmp/core.cfg -p "$grub_boot/grub" -o /boot/grub/i386-pc/core.img \
        biosdisk part_msdos ext2 xfs btrfs lvm mdraid1x search_fs_uuid
    printf '(hd0)\t/dev/sda\n' >/boot/grub/device.map
else
    install -d /boot/efi/EFI/debian
    cp /usr/lib/shim/shimx64.efi.signed /boot/efi/EFI/debian/shimx64.efi
    cp /usr/lib/shim/mmx64.efi.signed /boot/efi/EFI/debian/mmx64.efi
    cp /usr/lib/shim/fbx64.efi.signed /boot/efi/EFI/debian/fbx64.efi
    cp /usr/lib/shim/BOOTX64.CSV /boot/efi/EFI/debian/BOOTX64.CSV
    cp /usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed /boot/efi/EFI/debian/grubx64.efi
    printf "search.fs_uuid %s root\nset prefix=(\$root)'%s/grub'\nconfigfile \$prefix/grub.cfg\n" "$grub_uuid" "$grub_boot" \
        >/boot/efi/EFI/debian/grub.cfg
fi
grub-editenv /boot/grub/grubenv create
grub-mkconfig -o /boot/grub/grub.cfg
