//! What a kernel's image says of itself.
//!
//! Format: the kernel's `Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header" (`header`, `kernel_version`).

/// Where the setup code's first sector ends; places in the header are counted from here.
const SECTOR: usize = 0x200;
/// Longer releases are none.
const LONGEST: usize = 128;

/// The release of an x86 kernel, as its modules' folder is named; `None` when this is no such image.
pub(crate) fn release(image: &[u8]) -> Option<String> {
    if image.get(0x1fe..0x200)? != b"\x55\xaa" || image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let offset = usize::from(u16::from_le_bytes(image.get(0x20e..0x210)?.try_into().ok()?));
    let text = image.get(SECTOR + offset..).filter(|_| offset > 0)?;
    let end = text.iter().take(LONGEST).position(|byte| matches!(byte, b' ' | 0))?;
    let release = std::str::from_utf8(&text[..end]).ok()?;
    release.starts_with(|letter: char| letter.is_ascii_digit()).then(|| release.to_owned())
}

/// An image with this release, for tests.
#[cfg(test)]
pub(crate) fn image(release: &str) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    let text = format!("{release} (builder@host) #1 SMP");
    image[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_stands_in_the_header() {
        let good = image("6.1.0-9-amd64");
        assert_eq!(release(&good).as_deref(), Some("6.1.0-9-amd64"));
        for (at, byte) in [(0x1fe, 0), (0x203, b'x'), (0x300, b'v'), (0x20f, 0xff)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(release(&bad), None, "{at:#x}");
        }
        for length in 0..0x305 {
            assert_eq!(release(&good[..length]), None, "{length:#x}");
        }
    }
}
