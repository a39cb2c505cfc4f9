# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Ages guest (b) from inside its tree: VMware's names for /boot, the ESP and the network, an initramfs without virtio, a
# boot loader in \EFI\debian only, VMware's tools. Owns the contents of the guest's files.

# --- disks by VMware's names
install -d /boot/efi /media/cdrom0
cat >/etc/fstab <<FSTAB
# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
$mapper-root /               ext4    errors=remount-ro 0       1
# /boot was on /dev/sda2 during installation
/dev/sda2       /boot           ext4    defaults        0       2
/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 /boot/efi vfat umask=0077 0 1
$mapper-swap_1 none            swap    sw              0       0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
FSTAB

# --- initramfs: what this VM has, nothing else
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
printf '%s\n' vmw_pvscsi vmxnet3 sd_mod dm_mod ext4 >>/etc/initramfs-tools/modules
install -d /etc/initramfs-tools/conf.d
echo "RESUME=$resume" >/etc/initramfs-tools/conf.d/resume
kernel=$(basename /boot/vmlinuz-*)
kernel=${kernel#vmlinuz-}
# The fsck hook cannot ask a disk that is not there yet, so it is told for once.
echo FSTYPE=ext4 >>/etc/initramfs-tools/initramfs.conf
update-initramfs -c -k "$kernel"
sed -i '/^FSTYPE=ext4$/d' /etc/initramfs-tools/initramfs.conf
if lsinitramfs "/boot/initrd.img-$kernel" | grep /virtio >&2; then
    echo "the initramfs has virtio" >&2
    exit 1
fi

# --- boot loader: what `grub-install --no-nvram` leaves, where only an NVRAM entry finds it
sed -i -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
    -e 's|^GRUB_CMDLINE_LINUX=.*|GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"|' \
    -e 's/^#*GRUB_TERMINAL=.*/GRUB_TERMINAL=console/' /etc/default/grub
install -d /boot/grub/x86_64-efi /boot/efi/EFI/debian
cp /usr/lib/grub/x86_64-efi/*.mod /usr/lib/grub/x86_64-efi/*.lst /boot/grub/x86_64-efi/
cp /usr/lib/shim/shimx64.efi.signed /boot/efi/EFI/debian/shimx64.efi
cp /usr/lib/shim/mmx64.efi.signed /boot/efi/EFI/debian/mmx64.efi
cp /usr/lib/shim/fbx64.efi.signed /boot/efi/EFI/debian/fbx64.efi
cp /usr/lib/shim/BOOTX64.CSV /boot/efi/EFI/debian/BOOTX64.CSV
cp /usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed /boot/efi/EFI/debian/grubx64.efi
cat >/boot/efi/EFI/debian/grub.cfg <<WRAPPER
search.fs_uuid $boot_uuid root hd0,gpt2
set prefix=(\$root)'/grub'
configfile \$prefix/grub.cfg
WRAPPER
grub-editenv /boot/grub/grubenv create
grub-mkconfig -o /boot/grub/grub.cfg

# --- network by VMware's names
cat >/etc/systemd/network/10-ens192.network <<NETWORK
[Match]
MACAddress=$mac
Name=ens192

[Network]
Address=$address/24
Gateway=10.0.2.2
DNS=10.0.2.3
NETWORK
systemctl enable systemd-networkd.service
rm -rf /tmp/* /var/log/*.log /var/log/apt
