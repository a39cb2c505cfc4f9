//! OVFs that make no sense, and the sentence each is refused with. This plugin's own tests read them, and so does the hostile corpus of
//! the whole program.

use super::documents::{VMDK, envelope, item, system, usual};

/// Every OVF. Beside it are the disks `a.vmdk` and `b.vmdk`, `text.vmdk` that is none, an empty `empty.vmdk`, a folder `sub`, and
/// `link.vmdk`, a symbolic link.
pub fn hostile() -> Vec<(String, &'static str)> {
    let href = |first: &str| usual(&format!("ovf:href=\"{first}\""), "ovf:href=\"b.vmdk\"");
    let hardware = |items: &str| {
        let disks = format!("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:format=\"{VMDK}\"/>");
        envelope("<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/>", &disks, &system("web", "Web", items))
    };
    let disks = |disks: &str| {
        envelope(
            "<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/>",
            disks,
            &system("web", "Web", &item(17, 1, "HostResource=ovf:/disk/d")),
        )
    };
    let good = href("a.vmdk");
    vec![
        (href("/etc/passwd"), "disk 'd1': DIR/web.ovf: the name '/etc/passwd' is refused: it is an absolute path"),
        (
            href("../a.vmdk"),
            "disk 'd1': DIR/web.ovf: the name '../a.vmdk' is refused: it is a path that leads outside of its folder",
        ),
        (href("%2e%2e/a.vmdk"), "disk 'd1': DIR/%2e%2e/a.vmdk: there is no such file"),
        (
            href("http://host/a.vmdk"),
            "disk 'd1': its file 'http://host/a.vmdk' is an address, not a file of the package",
        ),
        (href("missing.vmdk"), "disk 'd1': DIR/missing.vmdk: there is no such file"),
        (
            href("link.vmdk"),
            "disk 'd1': DIR/link.vmdk: it is a symbolic link, which is not followed, not a regular file",
        ),
        (href("sub"), "disk 'd1': DIR/sub: it is a folder, not a regular file"),
        (
            href("text.vmdk"),
            "disk 'd1': DIR/text.vmdk: its package declares it as vmdk, and it does not begin like one",
        ),
        (href("empty.vmdk"), "disk 'd1': DIR/empty.vmdk: the file is empty"),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:size=\"200000\""),
            "disk 'd1': its file 'a.vmdk' has 150004 bytes, and the OVF says 200000",
        ),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:size=\"x\""),
            "the File 'f1' has a size that is no number",
        ),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:compression=\"bzip2\""),
            "the File 'f1' is compressed by 'bzip2'; gzip is read",
        ),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:compression=\"gzip\""),
            "disk 'd1': 'a.vmdk' is said to be compressed by gzip, and is not",
        ),
        (good.replace("ovf:href=\"a.vmdk\"", ""), "the File 'f1' has no href"),
        (good.replace("\"f2\"", "\"f1\""), "two Files have the id 'f1'"),
        (
            good.replace("ovf:fileRef=\"f1\"", "ovf:fileRef=\"f9\""),
            "disk 'd1' names the file 'f9', which References does not have",
        ),
        (good.replace("\"d2\"", "\"d1\""), "two Disks have the id 'd1'"),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:capacity=\"1\" ovf:parentRef=\"p\"/>"),
            "disk 'd' is a delta on 'p', which the package does not have",
        ),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:parentRef=\"e\"/><Disk ovf:diskId=\"e\" ovf:parentRef=\"d\"/>"),
            "disk 'd' is a delta on itself, or on a chain of more than 255 disks",
        ),
        (
            disks(
                "<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:parentRef=\"e\"/><Disk ovf:diskId=\"e\" ovf:fileRef=\"f\"/>",
            ),
            "disk 'd' is a delta on 'e', which has the same file",
        ),
        (disks("<Disk ovf:diskId=\"d\"/>"), "disk 'd': it has neither a file nor a capacity"),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:capacity=\"9\" ovf:capacityAllocationUnits=\"byte * 2^63\"/>"),
            "disk 'd' has a capacity of '9 byte * 2^63', which is not an amount",
        ),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:capacity=\"${size}\"/>"),
            "the capacity of disk 'd' is that of the property 'size', which has no value",
        ),
        (disks("<Disk/>"), "a Disk has no diskId"),
        (hardware("<Item><rasd:ResourceType>3</rasd:ResourceType></Item>"), "an item of hardware has no InstanceID"),
        (
            hardware("<Item><rasd:InstanceID>1</rasd:InstanceID></Item>"),
            "the item '1' has a ResourceType that is missing or not a number",
        ),
        (hardware(&[item(3, 1, ""), item(4, 1, "")].concat()), "two items have the InstanceID '1'"),
        (
            hardware(&item(17, 1, "HostResource=ovf:/disk/x")),
            "disk '1' names 'ovf:/disk/x', which the package does not have",
        ),
        (
            hardware(&item(17, 1, "AddressOnParent=x HostResource=ovf:/disk/d")),
            "the item '1' has the AddressOnParent 'x', which is not a number",
        ),
        (
            hardware(
                &[
                    item(6, 1, ""),
                    item(17, 2, "Parent=1 AddressOnParent=0 HostResource=ovf:/disk/d"),
                    item(17, 3, "Parent=1 AddressOnParent=0 HostResource=ovf:/file/f"),
                ]
                .concat(),
            ),
            "two disks are on place 0 of one controller; the second is '3'",
        ),
        (
            hardware(&item(3, 1, "VirtualQuantity=0")),
            "the item '1' has the VirtualQuantity '0', not a number between 1 and 4096",
        ),
        (
            hardware(&item(4, 1, "VirtualQuantity=9 AllocationUnits=furlongs")),
            "its memory of '9 furlongs' is not an amount of at most 70368744177664 bytes",
        ),
        (
            hardware(&item(4, 1, "VirtualQuantity=99 AllocationUnits=byte_*_2^60")),
            "its memory of '99 byte * 2^60' is not an amount of at most 70368744177664 bytes",
        ),
        ("<Envelope ><References/></Envelope>".into(), "it describes no virtual machine"),
        ("<Envelope ></Envelope>".into(), "its root element is 'Envelope', not an Envelope with content"),
        ("<Envelope ><References>".into(), "its XML is malformed: the root node was opened but never closed"),
        (
            "<!DOCTYPE x [<!ENTITY e SYSTEM \"/etc/passwd\">]><Envelope >&e;</Envelope>".into(),
            "it has a document type, which is refused: entities could name other files",
        ),
        (format!("<Envelope >{}", "<a>".repeat(1000)), "its elements are nested more than 64 deep"),
        (format!("<Envelope >{}", " ".repeat(17 << 20)), "an OVF of 17825803 bytes; the limit is 16777216"),
    ]
}
