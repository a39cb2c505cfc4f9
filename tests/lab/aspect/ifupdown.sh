# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns ifupdown with VMware's interface names, pinned by a rule as older releases wrote it.

cat >/etc/network/interfaces <<INTERFACES
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug ens192
iface ens192 inet static
    address $address/24
    gateway 10.0.2.2
    dns-nameservers 10.0.2.3
INTERFACES
cat >/etc/udev/rules.d/70-persistent-net.rules <<RULES
# PCI device 0x15ad:0x07b0 (vmxnet3)
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="$mac", ATTR{dev_id}=="0x0", ATTR{type}=="1", NAME="ens192"
RULES
if [[ -n $mac_2 ]]; then printf '\nallow-hotplug ens224\niface ens224 inet dhcp\n' >>/etc/network/interfaces; fi
systemctl enable networking.service
