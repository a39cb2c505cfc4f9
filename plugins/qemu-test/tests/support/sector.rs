//! Boot sectors of 512 bytes: guests so small that a BIOS boots them in a moment.
//!
//! Guests that come up, that do not, and that reset for ever.

/// Where a sector's text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The first serial port.
    Serial,
    /// The screen, through the BIOS.
    Screen,
}

/// What it does after its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing, for ever.
    Halt,
    /// Resets the machine through the keyboard controller.
    Reset,
}

/// Room for the text: the sector without code and signature.
pub const LONGEST_TEXT: usize = 440;

/// A boot sector that writes `text` (no zero bytes; cut when too long) and then halts or resets.
pub fn boot_sector(output: Output, text: &[u8], then: Then) -> [u8; 512] {
    // 16-bit code at 0000:7c00.
    let mut code = vec![
        0xfa, // cli
        0xfc, // cld
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, // mov ds, ax
        0xbe, 0, 0, // mov si, text: patched below
    ];
    let next = code.len();
    code.extend([0xac, 0x84, 0xc0, 0x74, 0]); // next: lodsb; test al, al; jz end: patched below
    let jump_end = code.len();
    match output {
        Output::Serial => code.extend([
            0x88, 0xc4, // mov ah, al
            0xba, 0xfd, 0x03, // mov dx, 3fd (line status)
            0xec, 0xa8, 0x20, 0x74, 0xfb, // wait: in al, dx; test al, 20; jz wait
            0x88, 0xe0, // mov al, ah
            0xba, 0xf8, 0x03, // mov dx, 3f8 (data)
            0xee, // out dx, al
        ]),
        Output::Screen => code.extend([
            0xb4, 0x0e, // mov ah, 0e (teletype)
            0xbb, 0x07, 0x00, // mov bx, 7
            0xcd, 0x10, // int 10
        ]),
    }
    let back = next as isize - (code.len() as isize + 2);
    code.extend([0xeb, back as u8]); // jmp next
    code[jump_end - 1] = (code.len() - jump_end) as u8;
    if then == Then::Reset {
        code.extend([0xb0, 0xfe, 0xe6, 0x64]); // mov al, fe; out 64, al
    }
    code.extend([0xf4, 0xeb, 0xfd]); // halt: hlt; jmp halt
    let start = 0x7c00 + code.len() as u16;
    code[7..9].copy_from_slice(&start.to_le_bytes());

    let mut sector = [0; 512];
    sector[..code.len()].copy_from_slice(&code);
    let text = &text[..text.len().min(LONGEST_TEXT)];
    sector[code.len()..code.len() + text.len()].copy_from_slice(text);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}
