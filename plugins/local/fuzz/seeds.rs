//! Writes the seed corpus: `corpus/TARGET/N` beside this file, the documents and archives of the plugin's tests.

#[allow(dead_code, reason = "the plugin's tests also make disks")]
#[path = "../tests/packages/documents.rs"]
mod documents;
#[path = "../tests/packages/ovfs.rs"]
mod ovfs;
#[path = "../tests/packages/tars.rs"]
mod tars;

use std::path::Path;

/// Longer ones teach a fuzzer nothing.
const LONGEST: usize = 64 << 10;

const VMX: &str = "#!/usr/bin/vmware\r\n.encoding = \"windows-1252\"\r\ndisplayName = \"a |22b|22 # c\"\nmemsize = \"512\"   # comment\n\
    numvcpus = \"4\"\ncpuid.coresPerSocket = \"2\"\nfirmware = \"efi\"\nuefi.secureBoot.enabled = \"TRUE\"\n\
    uuid.bios = \"56 4d 1e 2f 3a 4b 5c 6d-7e 8f 90 a1 b2 c3 d4 e5\"\nvm.genid = \"-1\"\nvm.genidX = \"9\"\nguestOS = \"debian12-64\"\n\
    scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n\
    ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"x.iso\"\nfloppy0.present = \"TRUE\"\n\
    ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"vmxnet3\"\nethernet0.addressType = \"static\"\n\
    ethernet0.address = \"00:50:56:00:00:01\"\nethernet0.networkName = \"VM Network\"\nbios.hddOrder = \"scsi0:1\"\n";

fn main() -> std::io::Result<()> {
    let ovf = documents::usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\"");
    write("tar", tars::hostile(&ovf).into_iter().map(|(tar, _)| tar))?;
    write("ovf", ovfs::hostile().into_iter().map(|(ovf, _)| ovf.into_bytes()).chain([ovf.into_bytes()]))?;
    write("vmx", [VMX.as_bytes().to_vec()].into_iter())
}

fn write(target: &str, seeds: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.filter(|seed| seed.len() <= LONGEST).enumerate() {
        std::fs::write(folder.join(number.to_string()), seed)?;
    }
    Ok(())
}
