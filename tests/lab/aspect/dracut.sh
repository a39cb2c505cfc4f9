# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns an initramfs by dracut that is for this host only. The builder's own devices are in sight here, so what a VMware VM
# would not have is left out by hand.

install -d /etc/dracut.conf.d
printf 'hostonly="yes"\nhostonly_cmdline="yes"\n' >/etc/dracut.conf.d/10-host.conf
if [[ -n $luks ]]; then
    printf 'add_dracutmodules+=" crypt "\ninstall_items+=" /etc/crypttab /etc/keys/root.key "\n' >/etc/dracut.conf.d/20-crypt.conf
fi
for kernel in /boot/vmlinuz-*; do
    version=${kernel#/boot/vmlinuz-}
    dracut --force --no-hostonly-cmdline --fstab --add-drivers "vmw_pvscsi vmxnet3 sd_mod $filesystem" \
        --omit "qemu qemu-net" --omit-drivers "virtio.*" \
        "/boot/initrd.img-$version" "$version"
done
for image in /boot/initrd.img-*; do
    if lsinitrd "$image" | grep /virtio >&2; then
        echo "$image has virtio" >&2
        exit 1
    fi
done
