# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns systemd-networkd with VMware's interface names.

printf '[Match]\nName=ens192\n\n[Network]\nAddress=%s/24\nGateway=10.0.2.2\nDNS=10.0.2.3\n' "$address" \
    >/etc/systemd/network/10-ens192.network
if [[ -n $mac_2 ]]; then
    printf '[Match]\nName=ens224\n\n[Network]\nDHCP=ipv4\n[DHCPv4]\nUseRoutes=no\n' >/etc/systemd/network/20-ens224.network
fi
systemctl enable systemd-networkd.service
