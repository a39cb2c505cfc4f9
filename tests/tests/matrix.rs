//! The guest of the matrix that is tested always: UEFI, LVM in LUKS, netplan, two cards. `full/matrix.rs` has the others.

vmdk2kvm_tests::guests! {
    trixie_lvm_on_luks
}
