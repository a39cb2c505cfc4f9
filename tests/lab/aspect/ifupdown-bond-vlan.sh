# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns ifupdown with a VLAN over a bond of both cards, which nothing but their slots names.

cat >/etc/network/interfaces <<INTERFACES
auto lo
iface lo inet loopback

auto bond0
iface bond0 inet static
    address $address/24
    gateway 10.0.2.2
    bond-slaves ens192 ens224
    bond-mode active-backup
    bond-primary ens192
    bond-miimon 100

auto bond0.$vlan
iface bond0.$vlan inet static
    address $vlan_address/24
INTERFACES
systemctl enable networking.service
