//! Where a file of a datastore lies behind a server's HTTPS: the path and query of `/folder`.

use vmdk2kvm_vsphere::datastore::File;
use vmdk2kvm_vsphere::escape::{percent, percent_path};

/// The path and query of a file. A vCenter decodes the query twice, a host once; the path is decoded once by both.
pub fn folder(file: &File, datacenter: &str, is_vcenter: bool) -> String {
    let word = |text: &str| if is_vcenter { percent(&percent(text)) } else { percent(text) };
    format!("/folder/{}?dcPath={}&dsName={}", percent_path(&file.path), word(datacenter), word(&file.datastore))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vcenter_decodes_the_query_twice() {
        let file = File::parse("[ds & 1%] a b/50%/c&ä.vmdk").unwrap();
        assert_eq!(
            folder(&file, "DC/x", false),
            "/folder/a%20b/50%25/c%26%C3%A4.vmdk?dcPath=DC%2Fx&dsName=ds%20%26%201%25"
        );
        assert_eq!(
            folder(&file, "DC/x", true),
            "/folder/a%20b/50%25/c%26%C3%A4.vmdk?dcPath=DC%252Fx&dsName=ds%2520%2526%25201%2525"
        );
        let plain = File::parse("[datastore1] web/web-flat.vmdk").unwrap();
        assert_eq!(folder(&plain, "DC0", true), "/folder/web/web-flat.vmdk?dcPath=DC0&dsName=datastore1");
    }
}
