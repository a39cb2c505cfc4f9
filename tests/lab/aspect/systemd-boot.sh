# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns systemd-boot as bootctl and kernel-install leave it: kernels and their initramfs on the EFI system partition, an entry
# for each with the root by VMware's name.

# The EFI system partition is a plain folder yet, and kernel-install wants a file system of its own.
# Its mode becomes the one of the folder, and FAT takes no other.
mount -t tmpfs -o mode=755 esp /boot/efi
install -d /boot/efi/EFI/systemd /boot/efi/EFI/BOOT /boot/efi/loader/entries "/boot/efi/$machine_id"
# As bootctl does, the signed one where there is one.
binary=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
if [[ -f $binary.signed ]]; then binary+=.signed; fi
cp "$binary" /boot/efi/EFI/systemd/systemd-bootx64.efi
cp "$binary" /boot/efi/EFI/BOOT/BOOTX64.EFI
printf 'timeout 1\nconsole-mode keep\n' >/boot/efi/loader/loader.conf
install -d /etc/kernel
echo "root=$fstab_root rootflags=subvol=@rootfs console=tty0 console=ttyS0,115200" >/etc/kernel/cmdline
echo type1 >/boot/efi/loader/entries.srel
export SYSTEMD_RELAX_ESP_CHECKS=1 SYSTEMD_RELAX_XBOOTLDR_CHECKS=1
for kernel in /boot/vmlinuz-*; do
    version=${kernel#/boot/vmlinuz-}
    kernel-install --esp-path=/boot/efi --boot-path=/boot/efi add "$version" "$kernel" "/boot/initrd.img-$version"
done
cp -a /boot/efi /tmp/esp
umount /boot/efi
cp -a /tmp/esp/. /boot/efi/
# It also ends well without an entry, where it takes the folder for none of its own.
ls /boot/efi/loader/entries/*.conf >&2
