//! The matrix of real guests: firmware, storage, filesystem, initramfs tool, network stack and loader in combinations that cover each,
//! every guest aged by years on VMware. Too many for every run: `tests/run --full` tests them.

vmdk2kvm_tests::guests! {
    bookworm_bond_vlan
    bookworm_btrfs
    bookworm_dracut_xfs
    bookworm_luks
    bookworm_md
    bookworm_selinux
    bookworm_two_disks
    bookworm_two_kernels
    bookworm_uefi_nm
    trixie_bridge_vlan
    trixie_btrfs_sdboot
    trixie_dracut_luks
    trixie_dracut_lvm
    trixie_luks_on_lvm
    trixie_lvm_on_luks
    trixie_md
    trixie_netplan_nics
    trixie_nm_vlan
}
