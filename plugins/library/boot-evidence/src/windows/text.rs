//! Text of a Windows that will not come up, where it is text: the boot sector's and the boot manager's on a BIOS, and what a kernel with
//! emergency management says on the serial console.

use super::codes;

/// Beginnings of lines, in the order of looking.
const DOWN: [(&str, &str); 12] = [
    // The boot sectors of a volume.
    ("no-bootable-device", "NTLDR is missing"),
    ("no-bootable-device", "NTLDR is compressed"),
    ("no-bootable-device", "BOOTMGR is compressed"),
    ("no-bootable-device", "BOOTMGR image is corrupt"),
    ("no-bootable-device", "A disk read error occurred"),
    // The boot manager, and the menu after a start that failed.
    ("boot-manager-screen", "Windows failed to start. A recent hardware or software change"),
    ("boot-manager-screen", "Status: 0xc0"),
    ("recovery-environment", "Windows Error Recovery"),
    ("recovery-environment", "Your PC needs to be repaired"),
    ("recovery-environment", "Your PC/Device needs to be repaired"),
    ("recovery-environment", "It looks like Windows didn't load correctly"),
    ("stop-screen", "STOP: 0x"),
];

/// Lines whose number says why.
const CODES: [&str; 3] = ["STOP: 0x", "Status: 0x", "Error code: 0x"];

/// The reason that a line gives, if any.
pub fn down(line: &str) -> Option<&'static str> {
    let line = line.trim_start().trim_start_matches('*').trim_start();
    DOWN.iter().find(|(_, beginning)| line.starts_with(beginning)).map(|(reason, _)| *reason)
}

/// The line with the name of its code; a code from one of `others` when it has none itself.
pub fn with_code(line: &str, others: &[String]) -> String {
    let code = |text: &str| CODES.iter().find_map(|begin| text.find(begin).and_then(|at| codes::first(&text[at..])));
    let line = line.trim();
    match code(line).or_else(|| others.iter().find_map(|other| code(other))) {
        Some(code) => format!("{}: {line}", codes::named(code)),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_reasons() {
        let table = [
            ("*** STOP: 0x0000007B (0xF78D2524,0xC0000034,0x00000000,0x00000000)", Some("stop-screen")),
            ("    Status: 0xc000000e", Some("boot-manager-screen")),
            ("NTLDR is missing", Some("no-bootable-device")),
            ("Status: 0x0", None),
            ("echo STOP: 0x7b", None),
            ("Windows is loading files...", None),
        ];
        for (line, wanted) in table {
            assert_eq!(down(line), wanted, "{line}");
        }
    }

    #[test]
    fn a_code_is_named_wherever_it_stands() {
        let stop = "*** STOP: 0x0000007B (0xF78D2524)";
        assert_eq!(with_code(stop, &[]), format!("0x7B INACCESSIBLE_BOOT_DEVICE: {stop}"));
        let others = ["    File: \\Boot\\BCD".to_owned(), "    Status: 0xc000000f".to_owned()];
        assert_eq!(
            with_code(" Windows failed to start.", &others),
            "0xC000000F STATUS_NO_SUCH_FILE: Windows failed to start."
        );
        assert_eq!(with_code("NTLDR is missing", &["address 0x12".to_owned()]), "NTLDR is missing");
    }
}
