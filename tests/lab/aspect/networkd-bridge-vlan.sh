# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns systemd-networkd with a bridge over a VLAN of the one card, and an address on the other.

unit() { cat >"/etc/systemd/network/$1"; }
printf '[Match]\nName=ens224\n\n[Network]\nAddress=%s/24\nGateway=10.0.2.2\nDNS=10.0.2.3\n' "$address" | unit 10-ens224.network
printf '[Match]\nName=ens192\n\n[Network]\nVLAN=ens192.%s\nLinkLocalAddressing=no\n' "$vlan" | unit 20-ens192.network
printf '[NetDev]\nName=ens192.%s\nKind=vlan\n\n[VLAN]\nId=%s\n' "$vlan" "$vlan" | unit 30-vlan.netdev
printf '[Match]\nName=ens192.%s\n\n[Network]\nBridge=br0\n' "$vlan" | unit 30-vlan.network
printf '[NetDev]\nName=br0\nKind=bridge\n' | unit 40-br0.netdev
printf '[Match]\nName=br0\n\n[Network]\nAddress=%s/24\n' "$vlan_address" | unit 40-br0.network
systemctl enable systemd-networkd.service
