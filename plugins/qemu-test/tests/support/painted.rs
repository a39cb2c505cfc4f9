//! A guest that paints one picture and stops: a boot sector that switches to 320 by 200 pixels of 256 colours, and the picture behind it.

use std::collections::BTreeMap;

use vmdk2kvm_boot_evidence::Picture;

/// Size of its pictures in pixels.
pub const WIDTH: usize = 320;
pub const HEIGHT: usize = 200;
/// Sectors behind the boot sector: the palette's two, and the pixels.
const SECTORS: u16 = 2 + (WIDTH * HEIGHT / 512) as u16;

/// The disk of a guest that shows `picture`, which has at most 256 colours.
pub fn disk(picture: &Picture) -> Vec<u8> {
    assert_eq!((picture.width(), picture.height()), (WIDTH, HEIGHT));
    let mut colours = BTreeMap::new();
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT);
    for colour in picture.colours() {
        let next = colours.len();
        pixels.push(u8::try_from(*colours.entry(colour).or_insert(next)).expect("at most 256 colours"));
    }
    let mut palette = [0; 1024];
    for (colour, index) in colours {
        // The adapter takes six bits of each.
        palette[index * 3..index * 3 + 3].copy_from_slice(&colour.map(|channel| channel >> 2));
    }
    [&sector()[..], &palette, &pixels].concat()
}

/// 16-bit code at 0000:7c00.
fn sector() -> [u8; 512] {
    let mut code = vec![
        0xfa, // cli
        0xfc, // cld
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, // mov ds, ax
        0x8e, 0xd0, // mov ss, ax
        0xbc, 0x00, 0x7c, // mov sp, 7c00
        0xbe, 0, 0, // mov si, packet: patched below
        0xb4, 0x42, // mov ah, 42 (extended read from the disk in dl)
        0xcd, 0x13, // int 13
        0xb8, 0x13, 0x00, // mov ax, 13 (320 x 200, 256 colours)
        0xcd, 0x10, // int 10
        0xb8, 0x00, 0x10, // mov ax, 1000
        0x8e, 0xd8, // mov ds, ax
        0x31, 0xf6, // xor si, si
        0xba, 0xc8, 0x03, // mov dx, 3c8 (first colour to be written)
        0x30, 0xc0, // xor al, al
        0xee, // out dx, al
        0x42, // inc dx
        0xb9, 0x00, 0x03, // mov cx, 300
        0xac, // next: lodsb
        0xee, // out dx, al
        0xe2, 0xfc, // loop next
        0xbe, 0x00, 0x04, // mov si, 400 (behind the palette)
        0xb8, 0x00, 0xa0, // mov ax, a000
        0x8e, 0xc0, // mov es, ax
        0x31, 0xff, // xor di, di
        0xb9, 0x00, 0x7d, // mov cx, 7d00
        0xf3, 0xa5, // rep movsw
        0xf4, // halt: hlt
        0xeb, 0xfd, // jmp halt
    ];
    let packet = 0x7c00 + code.len() as u16;
    code[12..14].copy_from_slice(&packet.to_le_bytes());
    // Size, count, offset, segment, first sector.
    code.extend([16, 0]);
    for word in [SECTORS, 0, 0x1000, 1, 0, 0, 0] {
        code.extend(word.to_le_bytes());
    }
    let mut sector = [0; 512];
    sector[..code.len()].copy_from_slice(&code);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}
