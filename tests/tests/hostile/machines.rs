//! VMX files that make no sense.

use crate::case::Case;

pub fn all() -> Vec<Case> {
    let number = |key: &str, value: &str, most: u64| {
        let least = u64::from(key != "cpuid.coresPerSocket");
        (
            format!("{key} = \"{value}\"\n"),
            format!("{} is '{value}', not a number between {least} and {most}", key.to_lowercase()),
        )
    };
    let mut all: Vec<(String, String)> = [
        ("memsize = \"64\"\nb\n", "line 2 has no '='"),
        ("memsize = \"64\n", "line 1 has no closing quote"),
        ("memsize = \"64\" b\n", "line 1 goes on behind the closing quote"),
        ("= \"1\"\n", "line 1 has no key before its '='"),
        ("memsize = \"1\"\nMemSize = \"2\"\n", "line 2 gives memsize a second value"),
        ("encryption.keySafe = \"vmware:key/list/x\"\n", "the virtual machine is encrypted"),
        ("scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n", "disk scsi0:0 has no file name"),
        ("a = \"\0\"\n", "it is named like a VMX and is not text"),
    ]
    .map(|(text, sentence)| (text.to_owned(), sentence.to_owned()))
    .into();
    for value in ["0", "-1", "many", "99999999999999999999999"] {
        all.push(number("memsize", value, 64 << 20));
        all.push(number("numvcpus", value, 4096));
    }
    all.push(number("cpuid.coresPerSocket", "4097", 4096));
    all.push(("a=1\n".repeat(20_001), "it has more than 20000 lines".into()));
    all.push(("#\n".repeat(1 << 19) + "#", "a VMX of 1048577 bytes; the limit is 1048576".into()));
    let disks: String = (0..5)
        .flat_map(|bus| {
            (0..64).map(move |unit| {
                format!("nvme{bus}:{unit}.present = \"TRUE\"\nnvme{bus}:{unit}.fileName = \"{bus}-{unit}.vmdk\"\n")
            })
        })
        .collect();
    all.push((disks, "it has more than 256 disks".into()));
    all.into_iter()
        .map(|(text, sentence)| Case::of("VMX", &[("d.vmx", text.as_bytes())], format!("DIR/d.vmx: {sentence}")))
        .collect()
}
