//! OVF documents, and what begins like the disks they name.

/// `count` bytes that compress badly and differ by `seed`.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// What begins like a VMDK; the fetcher looks no further.
pub fn disk(seed: u64) -> Vec<u8> {
    [b"KDMV".to_vec(), noise(seed, 150_000)].concat()
}

pub const VMDK: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// An envelope around these parts.
pub fn envelope(files: &str, disks: &str, systems: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\" \
         xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData\" xmlns:vmw=\"http://www.vmware.com/schema/ovf\" \
         xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\">\n<References>{files}</References>\n<DiskSection><Info/>{disks}</DiskSection>\n{systems}\n</Envelope>\n"
    )
}

/// A system with this hardware.
pub fn system(id: &str, name: &str, hardware: &str) -> String {
    format!(
        "<VirtualSystem ovf:id=\"{id}\"><Info/><Name>{name}</Name><OperatingSystemSection ovf:id=\"94\" vmw:osType=\"debian10_64Guest\"/>\
         <VirtualHardwareSection><System><vssd:VirtualSystemType>vmx-14</vssd:VirtualSystemType></System>{hardware}</VirtualHardwareSection></VirtualSystem>"
    )
}

/// An item from `Element=text` words; a text may hold `_` for a space.
pub fn item(kind: u32, id: u32, words: &str) -> String {
    let mut text =
        format!("<Item><rasd:InstanceID>{id}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>");
    for word in words.split_whitespace() {
        let (element, value) = word.split_once('=').unwrap();
        text.push_str(&format!("<rasd:{element}>{}</rasd:{element}>", value.replace('_', " ")));
    }
    text + "</Item>"
}

/// The usual machine: two disks of a SCSI controller, in files of these names with these further attributes.
pub fn usual(first: &str, second: &str) -> String {
    let files = format!("<File ovf:id=\"f1\" {first}/><File ovf:id=\"f2\" {second}/>");
    let disks = format!(
        "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"2\" ovf:capacityAllocationUnits=\"byte * 2^30\" ovf:format=\"{VMDK}\"/>\
         <Disk ovf:diskId=\"d2\" ovf:fileRef=\"f2\" ovf:capacity=\"1073741824\" ovf:format=\"{VMDK}\"/>"
    );
    let hardware = [
        item(3, 1, "VirtualQuantity=2"),
        item(4, 2, "AllocationUnits=byte_*_2^20 VirtualQuantity=1024"),
        item(6, 3, "Address=0 ResourceSubType=VirtualSCSI"),
        // The second in the document is the first on the bus.
        item(17, 5, "AddressOnParent=1 Parent=3 HostResource=ovf:/disk/d2"),
        item(17, 4, "AddressOnParent=0 Parent=3 HostResource=ovf:/disk/d1"),
    ];
    envelope(&files, &disks, &system("web", "Web", &hardware.concat()))
}
