# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns which packages the guest has beyond its base, from the stock that the base carries in /opt/lab (see matrix/matrix.sh).

export DEBIAN_FRONTEND=noninteractive INITRD=No
if [[ $initramfs == dracut ]]; then
    dpkg --remove --force-depends initramfs-tools initramfs-tools-core cryptsetup-initramfs
fi
for set in $stock_used; do dpkg --install /opt/lab/"$set"/*.deb; done

# Every stack is installed; the recipe's own is enabled by its aspect.
systemctl disable NetworkManager.service systemd-networkd.service networking.service
