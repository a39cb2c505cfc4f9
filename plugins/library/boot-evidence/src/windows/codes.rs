//! Names of the numbers that a Windows stops with, as its documentation has them.

/// Stop codes (bug checks) that a move to other hardware brings about, or that stand for a broken system.
const STOPS: [(u32, &str); 22] = [
    (0x01, "APC_INDEX_MISMATCH"),
    (0x0a, "IRQL_NOT_LESS_OR_EQUAL"),
    (0x1a, "MEMORY_MANAGEMENT"),
    (0x1e, "KMODE_EXCEPTION_NOT_HANDLED"),
    (0x24, "NTFS_FILE_SYSTEM"),
    (0x3b, "SYSTEM_SERVICE_EXCEPTION"),
    (0x50, "PAGE_FAULT_IN_NONPAGED_AREA"),
    (0x5c, "HAL_INITIALIZATION_FAILED"),
    (0x5d, "UNSUPPORTED_PROCESSOR"),
    (0x67, "CONFIG_INITIALIZATION_FAILED"),
    (0x6b, "PROCESS1_INITIALIZATION_FAILED"),
    (0x74, "BAD_SYSTEM_CONFIG_INFO"),
    (0x77, "KERNEL_STACK_INPAGE_ERROR"),
    (0x79, "MISMATCHED_HAL"),
    (0x7a, "KERNEL_DATA_INPAGE_ERROR"),
    (0x7b, "INACCESSIBLE_BOOT_DEVICE"),
    (0x7e, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"),
    (0x7f, "UNEXPECTED_KERNEL_MODE_TRAP"),
    (0xa5, "ACPI_BIOS_ERROR"),
    (0xd1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    (0xef, "CRITICAL_PROCESS_DIED"),
    (0x101, "CLOCK_WATCHDOG_TIMEOUT"),
];

/// Status codes, of the loader mostly.
const STATUSES: [(u32, &str); 12] = [
    (0xc000_0001, "STATUS_UNSUCCESSFUL"),
    (0xc000_000e, "STATUS_NO_SUCH_DEVICE"),
    (0xc000_000f, "STATUS_NO_SUCH_FILE"),
    (0xc000_0017, "STATUS_NO_MEMORY"),
    (0xc000_0098, "STATUS_FILE_INVALID"),
    (0xc000_014c, "STATUS_REGISTRY_CORRUPT"),
    (0xc000_0185, "STATUS_IO_DEVICE_ERROR"),
    (0xc000_021a, "STATUS_SYSTEM_PROCESS_TERMINATED"),
    (0xc000_0221, "STATUS_IMAGE_CHECKSUM_MISMATCH"),
    (0xc000_0225, "STATUS_NOT_FOUND"),
    (0xc000_0428, "STATUS_INVALID_IMAGE_HASH"),
    (0xc000_0605, "STATUS_IMAGE_CERT_EXPIRED"),
];

/// A code as it is shown: `0x7B INACCESSIBLE_BOOT_DEVICE`; without a name when it has none here.
pub fn named(code: u32) -> String {
    // What stands for a status stops under the same number.
    match STOPS.iter().chain(&STATUSES).find(|(known, _)| *known == code) {
        Some((_, name)) => format!("0x{code:X} {name}"),
        None => format!("0x{code:X}"),
    }
}

/// The first number of a text that is written as `0x` and at most eight hexadecimal digits.
pub fn first(text: &str) -> Option<u32> {
    text.match_indices("0x").chain(text.match_indices("0X")).find_map(|(at, _)| {
        let rest = &text[at + 2..];
        let length = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        (1..=8).contains(&length).then(|| u32::from_str_radix(&rest[..length], 16).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_named() {
        let table = [
            ("*** STOP: 0x0000007B (0xFFFFF880009A97E8,0xFFFFFFFFC0000034)", Some("0x7B INACCESSIBLE_BOOT_DEVICE")),
            ("    Status: 0xc000000f", Some("0xC000000F STATUS_NO_SUCH_FILE")),
            ("Status: 0xC0000428.", Some("0xC0000428 STATUS_INVALID_IMAGE_HASH")),
            ("code 0x12345", Some("0x12345")),
            ("0x, 0x123456789, 0xg", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(first(text).map(named).as_deref(), wanted, "{text}");
        }
    }
}
