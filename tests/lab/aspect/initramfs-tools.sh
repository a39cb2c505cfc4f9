# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns an initramfs by initramfs-tools with what a VMware VM has and nothing else.

sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
printf '%s\n' vmw_pvscsi mptspi mptsas vmxnet3 sd_mod dm_mod dm_crypt raid1 ext4 xfs btrfs >>/etc/initramfs-tools/modules
install -d /etc/initramfs-tools/conf.d
echo "RESUME=$fstab_swap" >/etc/initramfs-tools/conf.d/resume
if [[ -n $luks ]]; then
    echo 'KEYFILE_PATTERN=/etc/keys/*.key' >>/etc/cryptsetup-initramfs/conf-hook
    echo 'UMASK=0077' >>/etc/initramfs-tools/initramfs.conf
fi
# The fsck hook cannot ask a disk that is not there yet, so it is told for once.
echo "FSTYPE=$filesystem" >>/etc/initramfs-tools/initramfs.conf
for kernel in /boot/vmlinuz-*; do update-initramfs -c -k "${kernel#/boot/vmlinuz-}"; done
sed -i '/^FSTYPE=/d' /etc/initramfs-tools/initramfs.conf
for image in /boot/initrd.img-*; do
    if lsinitramfs "$image" | grep /virtio >&2; then
        echo "$image has virtio" >&2
        exit 1
    fi
done
