# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns NetworkManager with profiles for VMware's interface names.

profile() { install -m 0600 /dev/stdin "/etc/NetworkManager/system-connections/$1.nmconnection"; }
profile ens192 <<PROFILE
[connection]
id=ens192
uuid=$(uuid_of 90)
type=ethernet
interface-name=ens192

[ipv4]
method=manual
address1=$address/24,10.0.2.2
dns=10.0.2.3;

[ipv6]
method=ignore
PROFILE
if [[ -n $mac_2 ]]; then
    printf '[connection]\nid=ens224\nuuid=%s\ntype=ethernet\ninterface-name=ens224\n\n[ipv4]\nmethod=auto\nnever-default=true\n' \
        "$(uuid_of 91)" | profile ens224
fi
systemctl enable NetworkManager.service
