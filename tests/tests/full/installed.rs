//! The stock bundle on the Debian that `../installed.rs` leaves out.

#[test]
fn everything_is_installed_on_debian_13_and_migrates_a_guest_there() {
    vmdk2kvm_tests::installs_and_migrates_on("trixie");
}
