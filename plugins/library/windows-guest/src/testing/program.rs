//! Files that look like programs.

use crate::version::Architecture;

/// A PE file with one section that holds this content. No kernel would run it.
pub fn program(architecture: Architecture, content: &[u8]) -> Vec<u8> {
    let (machine, magic, directories): (u16, u16, usize) = match architecture {
        Architecture::X86 => (0x014c, 0x010b, 96),
        Architecture::Amd64 => (0x8664, 0x020b, 112),
        Architecture::Arm64 => (0xaa64, 0x020b, 112),
    };
    const PE: usize = 0x40;
    const START: usize = 0x200;
    let optional = PE + 24;
    let length = directories + 16 * 8;
    let mut file = vec![0; START + content.len().next_multiple_of(START)];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &(PE as u32).to_le_bytes());
    put(PE, b"PE\0\0");
    put(PE + 4, &machine.to_le_bytes());
    put(PE + 6, &1_u16.to_le_bytes());
    put(PE + 20, &(length as u16).to_le_bytes());
    put(optional, &magic.to_le_bytes());
    put(optional + directories - 4, &16_u32.to_le_bytes());
    let section = optional + length;
    put(section, b".text");
    put(section + 8, &(content.len() as u32).to_le_bytes());
    put(section + 16, &(content.len().next_multiple_of(START) as u32).to_le_bytes());
    put(section + 20, &(START as u32).to_le_bytes());
    put(START, content);
    file
}
