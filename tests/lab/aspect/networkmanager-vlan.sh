# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns NetworkManager with a VLAN over a card that has no profile, as on servers where cards get none by themselves, and an address on
# the other card.

printf '[main]\nno-auto-default=*\n' >/etc/NetworkManager/conf.d/00-server.conf
profile() { install -m 0600 /dev/stdin "/etc/NetworkManager/system-connections/$1.nmconnection"; }
profile ens224 <<PROFILE
[connection]
id=ens224
uuid=$(uuid_of 90)
type=ethernet
interface-name=ens224

[ipv4]
method=manual
address1=$address/24,10.0.2.2
dns=10.0.2.3;

[ipv6]
method=ignore
PROFILE
profile storage <<PROFILE
[connection]
id=storage
uuid=$(uuid_of 91)
type=vlan
interface-name=ens192.$vlan

[vlan]
id=$vlan
parent=ens192

[ipv4]
method=manual
address1=$vlan_address/24

[ipv6]
method=ignore
PROFILE
systemctl enable NetworkManager.service
