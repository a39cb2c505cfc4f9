//! Reads VMDK disks and their snapshot chains as one flat view
