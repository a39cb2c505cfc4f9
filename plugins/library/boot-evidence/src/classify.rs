//! What a line of a console says about a boot: it is up, it will never be, or nothing.
//!
//! Pure and table-driven; the tests beside it hold texts of real consoles. Knows nothing of where a line came from: the serial
//! line and the screen are read with the same table.

/// What a line proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// The guest came up (or else it never will).
    pub up: bool,
    /// Stable word, as in `Verdict::reason`.
    pub reason: &'static str,
}

/// How a pattern is looked for in a line without its leading blanks and kernel timestamp.
#[derive(Debug, Clone, Copy)]
enum Pattern {
    /// Anywhere.
    Has(&'static str),
    /// At the beginning.
    Begins(&'static str),
    /// At the beginning of a line that has not ended.
    Prompt(&'static str),
}

use Pattern::{Begins, Has, Prompt};

/// Signs that a guest will not come up, in the order of looking.
const DOWN: &[(&str, Pattern)] = &[
    // Linux, lib/panic.c; "end Kernel panic" repeats it.
    ("panic", Begins("Kernel panic - not syncing")),
    ("panic", Begins("---[ end Kernel panic - not syncing")),
    // initramfs-tools: scripts/functions (panic), scripts/local.
    ("initramfs-prompt", Prompt("(initramfs)")),
    ("initramfs-prompt", Begins("Gave up waiting for root")),
    // dracut: dracut-emergency.sh, and its shell's prompt.
    ("dracut-shell", Begins("Generating \"/run/initramfs/rdsosreport.txt\"")),
    ("dracut-shell", Begins("Entering emergency mode. Exit the shell to continue.")),
    ("dracut-shell", Prompt("dracut:/#")),
    // Arch's mkinitcpio, Alpine's and busybox-based initramfs.
    ("initramfs-prompt", Has("You are now being dropped into an emergency shell")),
    ("initramfs-prompt", Prompt("[rootfs ")),
    ("initramfs-prompt", Begins("initramfs emergency recovery shell launched")),
    // systemd: emergency.service, sulogin.
    ("emergency-mode", Begins("You are in emergency mode")),
    ("emergency-mode", Begins("You are in rescue mode")),
    ("emergency-mode", Begins("Welcome to emergency mode")),
    ("emergency-mode", Begins("Give root password for maintenance")),
    ("emergency-mode", Begins("Press Enter for maintenance")),
    ("emergency-mode", Begins("Cannot open access to console, the root account is locked")),
    ("emergency-mode", Begins("Give root password for system maintenance")),
    // GRUB 2: normal and rescue mode; GRUB Legacy's prompt is the first of them.
    ("grub-rescue", Prompt("grub rescue>")),
    ("grub-rescue", Prompt("grub>")),
    ("grub-rescue", Begins("Entering rescue mode...")),
    // SeaBIOS, OVMF, boot sectors.
    ("no-bootable-device", Begins("No bootable device.")),
    ("no-bootable-device", Has("BdsDxe: No bootable option or device was found")),
    // OVMF's last resort, built into some distributions' firmware.
    ("no-bootable-device", Has("\"EFI Internal Shell\" from Fv(")),
    ("no-bootable-device", Begins("Missing operating system")),
    ("no-bootable-device", Begins("Operating system not found")),
    ("no-bootable-device", Begins("Error loading operating system")),
    ("no-bootable-device", Begins("Invalid partition table")),
    ("no-bootable-device", Begins("BOOTMGR is missing")),
    ("secure-boot-denied", Has("Verification failed: (0x1A) Security Violation")),
    ("secure-boot-denied", Has("bad shim signature")),
    ("uefi-shell", Begins("UEFI Interactive Shell")),
    ("uefi-shell", Prompt("Shell>")),
];

/// systemd's targets that stand for a finished boot, by unit name and by description.
const TARGETS: [&str; 6] = [
    "multi-user.target",
    "Multi-User System",
    "graphical.target",
    "Graphical Interface",
    "getty.target",
    "Login Prompts",
];

/// Lines that look like a login prompt and are none.
const NOT_HOSTS: [&str; 3] = ["Last", "last", "Password"];

/// Reads lines of one guest's consoles.
#[derive(Debug, Clone, Default)]
pub struct Classifier {
    /// First label of the guest's host name, when it is known.
    host: Option<String>,
}

impl Classifier {
    /// `hostname`: what the guest's disks say; empty when not known.
    pub fn new(hostname: &str) -> Self {
        let host = hostname.trim().split('.').next().filter(|label| !label.is_empty());
        Self { host: host.map(str::to_owned) }
    }

    /// What `line` proves; `ended`: it is not the line that the cursor stands in.
    pub fn line(&self, line: &str, ended: bool) -> Option<Sign> {
        let line = without_timestamp(line.trim_start());
        if let Some((reason, _)) = DOWN.iter().find(|(_, pattern)| pattern.matches(line, ended)) {
            return Some(Sign { up: false, reason });
        }
        if self.is_login_prompt(line) {
            return Some(Sign { up: true, reason: "login-prompt" });
        }
        is_target(line).then_some(Sign { up: true, reason: "systemd-target" })
    }

    /// `HOST login: `, written by agetty, mingetty, busybox and systemd's console getty alike. A kernel message may follow on
    /// the same line, and ends it.
    fn is_login_prompt(&self, line: &str) -> bool {
        let Some((host, rest)) = line.split_once(" login:") else { return false };
        let bare = matches!(rest.trim_start().as_bytes(), [] | [b'[', ..]);
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plausible = !host.is_empty() && host.len() <= 253 && host.chars().all(letter) && !NOT_HOSTS.contains(&host);
        let label = host.split('.').next().unwrap_or_default();
        let expected = match &self.host {
            Some(known) => label.eq_ignore_ascii_case(known) || label == "localhost",
            None => true,
        };
        bare && plausible && expected
    }
}

impl Pattern {
    fn matches(self, line: &str, ended: bool) -> bool {
        match self {
            Has(text) => line.contains(text),
            Begins(text) => line.starts_with(text),
            Prompt(text) => !ended && line.starts_with(text),
        }
    }
}

/// `[  OK  ] Reached target multi-user.target - Multi-User System.`, or the journal's copy of it.
fn is_target(line: &str) -> bool {
    const OPENINGS: [&str; 4] =
        ["[  OK  ] Reached target ", "[ OK ] Reached target ", "Reached target ", "systemd[1]: Reached target "];
    OPENINGS.iter().any(|opening| {
        line.strip_prefix(opening).is_some_and(|rest| {
            TARGETS.iter().any(|target| {
                rest.strip_prefix(target).is_some_and(|end| end.is_empty() || end == "." || end.starts_with(' '))
            })
        })
    })
}

/// Whether systemd says on this line that a unit failed, that one it depends on did, or that a job timed out.
pub fn is_complaint(line: &str) -> bool {
    let line = without_timestamp(line.trim_start());
    ["[FAILED] ", "[DEPEND] ", "[ TIME ] "].iter().any(|opening| line.starts_with(opening))
}

/// Drops the kernel's `[   12.345678] `.
fn without_timestamp(line: &str) -> &str {
    let Some((time, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) else { return line };
    let is_time = time.contains('.') && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b' ');
    if is_time { rest.trim_start() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a console's whole text; the last line is the one the cursor is in.
    fn read(host: &str, text: &str) -> Option<(bool, &'static str)> {
        let classifier = Classifier::new(host);
        let lines: Vec<&str> = text.split('\n').collect();
        let last = lines.len() - 1;
        lines
            .iter()
            .enumerate()
            .find_map(|(index, line)| classifier.line(line, index != last))
            .map(|sign| (sign.up, sign.reason))
    }

    #[test]
    fn what_systemd_complains_of() {
        for line in [
            "[ TIME ] Timed out waiting for device /dev/sdb1.",
            "[DEPEND] Dependency failed for /srv.",
            "[   95.123456] [FAILED] Failed to mount /srv.",
        ] {
            assert!(is_complaint(line), "{line}");
        }
        for line in ["[  OK  ] Reached target swap.target - Swaps.", "[FAILED", "a [FAILED] b", ""] {
            assert!(!is_complaint(line), "{line}");
        }
    }

    #[test]
    fn guests_that_came_up() {
        let table = [
            ("bookworm-bios", "Debian GNU/Linux 12 bookworm-bios ttyS0\n\nbookworm-bios login: "),
            ("web.example.com", "\nweb login: "),
            ("web", "web login:"),
            ("web", "web login: [   31.123456] random: crng init done\n"),
            ("web", "localhost login: "),
            ("", "Red Hat Enterprise Linux 9.4 (Plow)\nKernel 5.14.0 on an x86_64\n\ndb-1.example.com login: "),
        ];
        for (host, text) in table {
            assert_eq!(read(host, text), Some((true, "login-prompt")), "{text:?}");
        }
        let targets = [
            "[  OK  ] Reached target multi-user.target - Multi-User System.\n",
            "[  OK  ] Reached target Login Prompts.\n",
            "[  OK  ] Reached target Graphical Interface.",
            "[   12.345678] systemd[1]: Reached target multi-user.target - Multi-User System.\n",
        ];
        for text in targets {
            assert_eq!(read("web", text), Some((true, "systemd-target")), "{text:?}");
        }
    }

    #[test]
    fn guests_that_will_not() {
        let table = [
            (
                "initramfs-prompt",
                "Gave up waiting for root file system device.  Common problems:\n - Boot args (cat /proc/cmdline)",
            ),
            ("initramfs-prompt", "ALERT!  /dev/sda1 does not exist.  Dropping to a shell!\n(initramfs) "),
            ("dracut-shell", "Generating \"/run/initramfs/rdsosreport.txt\"\n\n\nEntering emergency mode."),
            ("dracut-shell", "\ndracut:/# "),
            (
                "emergency-mode",
                "You are in emergency mode. After logging in, type \"journalctl -xb\" to view\nsystem logs",
            ),
            ("emergency-mode", "Give root password for maintenance\n(or press Control-D to continue): "),
            ("emergency-mode", "Cannot open access to console, the root account is locked.\n"),
            ("grub-rescue", "error: no such partition.\nEntering rescue mode...\ngrub rescue> "),
            ("grub-rescue", "                 GNU GRUB  version 2.06-13\n\ngrub> "),
            ("panic", "[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n"),
            (
                "no-bootable-device",
                "SeaBIOS (version 1.16.2)\nBooting from Hard Disk...\nBoot failed: not a bootable disk\n\nNo bootable device.\n",
            ),
            (
                "no-bootable-device",
                "BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x2,0x0): Not Found\nBdsDxe: No bootable option or device was found.\n",
            ),
            (
                "no-bootable-device",
                "BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x2,0x1): Not Found\nBdsDxe: loading Boot0002 \"EFI Internal Shell\" from Fv(7CB8)/FvFile(7C04)\nUEFI Interactive Shell v2.2\n",
            ),
            ("uefi-shell", "UEFI Interactive Shell v2.2\nEDK II\n"),
            ("uefi-shell", "Press ESC in 1 seconds\nShell> "),
        ];
        for (reason, text) in table {
            assert_eq!(read("web", text), Some((false, reason)), "{text:?}");
        }
    }

    #[test]
    fn lines_that_prove_nothing() {
        let table = [
            "Last login: Mon Nov 23 09:00:00 UTC 2026 on tty1",
            "Last login:",
            "web login: root",
            "other login: ",
            "the web login: ",
            " login: ",
            "[  OK  ] Reached target initrd-root-device.target - Initrd Root Device.\n",
            "[  OK  ] Reached target multi-user.target.wants\n",
            "[  OK  ] Stopped target Multi-User System.\n",
            "Booting from Hard Disk...\nBoot failed: not a bootable disk\n",
            "Welcome to GRUB!\n",
            "echo grub> file\n",
            "grub> set root\nweb",
            "systemd[1]: panic mode",
            "[    1.0] panic_on_warn Kernel panic - not syncing",
        ];
        for text in table {
            assert_eq!(read("web", text), None, "{text:?}");
        }
    }
}
