//! The guests of the matrix that are tested always: together they have both firmwares, both initramfs tools, and storage in layers.
//! `full/matrix.rs` has the others.

vmdk2kvm_tests::guests! {
    bookworm_dracut_xfs
    trixie_lvm_on_luks
}
