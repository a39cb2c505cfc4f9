# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns netplan, for networkd, with VMware's interface names: one as its key, one by its MAC and a new name.

{
    printf 'network:\n  version: 2\n  renderer: networkd\n  ethernets:\n'
    printf '    ens192:\n      addresses: [%s/24]\n      routes:\n        - to: default\n          via: 10.0.2.2\n' "$address"
    if [[ -n $mac_2 ]]; then
        printf '    # the backup network\n    ens224:\n      match:\n        macaddress: "%s"\n      set-name: ens224\n' "$mac_2"
        printf '      dhcp4: true\n      dhcp4-overrides: {use-routes: false}\n'
    fi
} >/etc/netplan/01-netcfg.yaml
chmod 0600 /etc/netplan/01-netcfg.yaml
systemctl enable systemd-networkd.service
