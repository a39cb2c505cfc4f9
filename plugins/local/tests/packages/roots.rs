//! OVFs by their root elements, whatever stands before and around them.

use crate::documents::{disk, usual};
use crate::support::Lab;

#[test]
fn an_ovf_is_one_by_its_root_element() {
    let lab = Lab::new();
    lab.file("a.vmdk", disk(1)).file("b.vmdk", disk(2));
    let plain = usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\"");
    let body = plain.split_once("?>\n").unwrap().1;
    let prefixed = body
        .replace(
            "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\"",
            "<o:Envelope xmlns:o=\"http://schemas.dmtf.org/ovf/envelope/1\"",
        )
        .replace("</Envelope>", "</o:Envelope>");
    let prefixed = ["References", "File", "DiskSection", "Disk", "VirtualSystem", "VirtualHardwareSection", "Item"]
        .iter()
        .fold(prefixed, |text, name| {
            text.replace(&format!("<{name}>"), &format!("<o:{name}>"))
                .replace(&format!("<{name} "), &format!("<o:{name} "))
                .replace(&format!("</{name}>"), &format!("</o:{name}>"))
        });
    let licence = "All rights reserved. <Envelope > \n".repeat(3000);
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(plain.replace("UTF-8", "UTF-16").encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    for (number, text) in [
        plain.clone().into_bytes(),
        body.replace("<Envelope ", "<Envelope\r\n\t").into_bytes(),
        format!("<?xml version=\"1.0\"?>\n<!-- {licence} -->\n<?style x?>\n{body}").into_bytes(),
        format!("\u{feff}{plain}").into_bytes(),
        format!("\n  {plain}").into_bytes(),
        prefixed.into_bytes(),
        utf16,
    ]
    .into_iter()
    .enumerate()
    {
        // With the name of an OVF, and with one that says nothing.
        for name in ["web.ovf", "web.description"] {
            lab.file(name, &text);
            let vm = lab.describe(name, None).unwrap_or_else(|error| panic!("{number} {name}: {error}"));
            assert_eq!((vm.name.as_str(), vm.disks.len()), ("Web", 2), "{number} {name}");
        }
    }
    lab.file("web.ovf", format!("<?xml version=\"1.0\"?><!-- {licence} --><domain/>"));
    assert_eq!(lab.refusal("web.ovf").1, "DIR/web.ovf: it is an XML document, which is not read yet");
}
