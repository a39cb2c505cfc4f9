//! A VMX as a machine: everything but the disks' files.

use vmdk2kvm_plugin_api::model::{Cpus, Firmware, VmSpec};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::{error_span, warn};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::devices::{VmxDisk, devices};
use crate::dictionary::Dictionary;
use crate::identity::{genid, uuid};
use crate::network::nics;
use crate::text;

/// The largest VMX that is read, in bytes; real ones have a few KiB.
pub const MAX_SIZE: u64 = 1 << 20;
/// Memory of a machine of which nothing is known, in bytes: enough for any current distribution to boot.
pub const GUESSED_MEMORY: u64 = 2 << 30;
const MIB: u64 = 1 << 20;
/// The most memory a VMX may state, in MiB: 64 TiB, twice and more of what any VMware runs.
const MAX_MEMORY_MIB: u64 = 64 << 20;
/// The most processors a VMX may state.
const MAX_CPUS: u64 = 4096;

/// A machine whose disks are still only names.
#[derive(Debug)]
pub struct Described {
    /// The machine, without disks.
    pub vm: VmSpec,
    /// Its disks in order.
    pub disks: Vec<VmxDisk>,
}

/// Reads the VMX `file`. `stem` is its name without extension, for a machine without a name.
pub fn read(bytes: &[u8], file: &str, stem: &str) -> Result<Described> {
    // So that each warning says which file it is about.
    let _span = error_span!("vmx", file).entered();
    describe(bytes, stem).map_err(|error| error.context(file))
}

/// Reads a VMX's bytes.
pub fn describe(bytes: &[u8], stem: &str) -> Result<Described> {
    let text = text::decode(bytes);
    let dictionary = Dictionary::parse(&text)?;
    if dictionary.text("encryption.keysafe").is_some() {
        return Err(PluginError::unusable("the virtual machine is encrypted")
            .hint("remove the encryption in VMware (with it the TPM), then run again"));
    }
    let mut guessed = Vec::new();
    let mut guess = |member: &str| guessed.push(member.to_owned());
    let name = match dictionary.text("displayname") {
        Some(name) => {
            if text.guessed && !name.is_ascii() {
                guess("name");
            }
            name.to_owned()
        }
        None => {
            guess("name");
            stem.to_owned()
        }
    };
    let firmware = match dictionary.text("firmware").map(str::to_lowercase).as_deref() {
        Some("efi") => Firmware::Uefi,
        Some("bios") => Firmware::Bios,
        other => {
            if let Some(other) = other {
                warn!("firmware '{}' is not known; BIOS is assumed", escape(other));
            }
            // VMware's default.
            guess("firmware");
            Firmware::Bios
        }
    };
    let memory_bytes = match dictionary.number("memsize", 1, MAX_MEMORY_MIB)? {
        Some(mebibytes) => mebibytes * MIB,
        None => {
            guess("memory_bytes");
            GUESSED_MEMORY
        }
    };
    let cpus = cpus(&dictionary, &mut guess)?;
    let uuid = dictionary.text("uuid.bios").and_then(|text| {
        let uuid = uuid(text);
        if uuid.is_none() {
            warn!("uuid.bios '{}' is not a UUID; the machine gets a new one", escape(text));
        }
        uuid
    });
    let genid = match (dictionary.text("vm.genid"), dictionary.text("vm.genidx")) {
        (Some(first), Some(second)) => genid(first, second),
        _ => None,
    };
    let devices = devices(&dictionary)?;
    let nics = nics(&dictionary, &mut guessed);
    let vm = VmSpec::new(name, firmware, cpus, memory_bytes).with(|it| {
        it.uuid = uuid;
        it.genid = genid;
        it.guest_id = dictionary.text("guestos").map(str::to_owned);
        it.secure_boot = firmware == Firmware::Uefi && dictionary.switch("uefi.secureboot.enabled") == Some(true);
        it.tpm = dictionary.switch("vtpm.present") == Some(true) || dictionary.text("managedvm.autoaddvtpm").is_some();
        it.boot_order = devices.boot_order;
        it.removable = devices.removable;
        it.nics = nics;
        it.shows_disk_serials = dictionary.switch("disk.enableuuid");
        it.guessed = guessed;
    });
    Ok(Described { vm, disks: devices.disks })
}

/// VMware's defaults: one processor, one core in each socket.
fn cpus(dictionary: &Dictionary, guess: &mut impl FnMut(&str)) -> Result<Cpus> {
    let count = dictionary.number("numvcpus", 1, MAX_CPUS)?;
    // Newer VMware writes 0 for "as VMware likes".
    let cores = dictionary.number("cpuid.corespersocket", 0, MAX_CPUS)?.filter(|cores| *cores > 0).unwrap_or(1);
    if count.is_none() {
        guess("cpus");
    }
    let count = count.unwrap_or(1) as u32;
    let cores = cores as u32;
    if count % cores == 0 {
        return Ok(Cpus::new(count, cores));
    }
    warn!("{count} processors do not divide into sockets of {cores} cores; each gets a socket of its own");
    guess("cpus");
    Ok(Cpus::new(count, 1))
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{NicKind, RemovableKind};

    use super::*;

    const FULL: &str = r#"#!/usr/bin/vmware
.encoding = "windows-1252"
config.version = "8"
virtualHW.version = "19"
displayName = "Web |22one|22"
guestOS = "debian12-64"
memsize = "3072"
numvcpus = "4"
cpuid.coresPerSocket = "2"
firmware = "efi"
uefi.secureBoot.enabled = "TRUE"
uuid.bios = "56 4d 1a 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7"
vm.genid = "-8536691797830587195"
vm.genidX = "-1723453263670062919"
managedvm.autoAddVTPM = "software"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "web-000002.vmdk"
scsi0:0.deviceType = "scsi-hardDisk"
scsi0:1.present = "TRUE"
scsi0:1.fileName = "data.vmdk"
scsi0:1.mode = "independent-nonpersistent"
sata0.present = "TRUE"
sata0:0.present = "TRUE"
sata0:0.deviceType = "cdrom-image"
sata0:0.fileName = "/isos/debian.iso"
floppy0.present = "FALSE"
disk.EnableUUID = "TRUE"
ethernet0.present = "TRUE"
ethernet0.pciSlotNumber = "160"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
ethernet0.addressType = "static"
ethernet0.address = "00:50:56:AA:BB:01"
"#;

    #[test]
    fn a_full_vmx_leaves_nothing_to_guess() {
        let described = describe(FULL.as_bytes(), "web").unwrap();
        let vm = described.vm;
        assert_eq!(vm.name, "Web \"one\"");
        assert_eq!(vm.uuid.as_deref(), Some("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7"));
        assert_eq!(vm.genid.as_deref(), Some("09512cc5-940a-8987-b950-f54f631015e8"));
        assert_eq!(vm.guest_id.as_deref(), Some("debian12-64"));
        assert_eq!((vm.firmware, vm.secure_boot, vm.tpm), (Firmware::Uefi, true, true));
        assert_eq!(vm.cpus, Cpus::new(4, 2));
        assert_eq!(vm.memory_bytes, 3 << 30);
        assert_eq!(vm.removable.len(), 1);
        assert_eq!((vm.removable[0].kind, vm.removable[0].controller.as_str()), (RemovableKind::Cdrom, "sata"));
        assert_eq!(vm.nics.len(), 1);
        assert_eq!(vm.nics[0].mac.as_deref(), Some("00:50:56:aa:bb:01"));
        assert_eq!((vm.nics[0].network.as_deref(), vm.nics[0].kind), (Some("VM Network"), NicKind::Network));
        assert_eq!((vm.nics[0].slot, vm.shows_disk_serials), (Some(160), Some(true)));
        assert_eq!(vm.guessed, Vec::<String>::new());
        let files: Vec<_> = described.disks.iter().map(|disk| (disk.key.as_str(), disk.file_name.as_str())).collect();
        assert_eq!(files, [("scsi0:0", "web-000002.vmdk"), ("scsi0:1", "data.vmdk")]);
    }

    #[test]
    fn an_empty_vmx_is_all_guesses() {
        let vm = describe(b"config.version = \"8\"\n", "web").unwrap().vm;
        assert_eq!(vm.guessed, ["name", "firmware", "memory_bytes", "cpus"]);
        assert_eq!((vm.name.as_str(), vm.memory_bytes), ("web", GUESSED_MEMORY));
        assert_eq!(vm.cpus, Cpus::new(1, 1));
        assert_eq!((vm.firmware, vm.secure_boot, vm.tpm), (Firmware::Bios, false, false));
        assert!(vm.nics.is_empty() && vm.uuid.is_none() && vm.shows_disk_serials.is_none());
    }

    #[test]
    fn cpus_always_multiply_out() {
        for (text, expected) in [
            ("numvcpus = \"3\"\ncpuid.coresPerSocket = \"2\"", (3, 3, 1)),
            ("numvcpus = \"8\"\ncpuid.coresPerSocket = \"8\"", (8, 1, 8)),
            ("numvcpus = \"2\"\ncpuid.coresPerSocket = \"0\"", (2, 2, 1)),
        ] {
            let cpus = describe(text.as_bytes(), "x").unwrap().vm.cpus;
            assert_eq!((cpus.count, cpus.sockets, cpus.cores_per_socket), expected);
        }
    }

    #[test]
    fn an_encrypted_machine_is_refused() {
        let error = describe(b"encryption.keySafe = \"vmware:key/list/(pair/...)\"", "x").unwrap_err();
        assert_eq!(error.message, "the virtual machine is encrypted");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = describe(&bytes, "x");
        }

        #[test]
        fn no_values_make_it_panic(key in "(scsi|ide|sata|nvme|ethernet|floppy)[0-9:]{0,6}\\.(present|fileName|address|deviceType)",
                                   value in "[^\"]{0,20}", number in "\\PC{0,30}") {
            let text = format!("{key} = \"{value}\"\nmemsize = {number}\nuuid.bios = \"{number}\"\nvm.genid = \"{number}\"\nvm.genidX = \"1\"\n");
            let _ = describe(text.as_bytes(), "x");
        }
    }
}
