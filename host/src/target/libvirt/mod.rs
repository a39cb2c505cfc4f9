//! The libvirt domain: a pure function from machine, inspection and images to XML.

mod devices;
mod domain;
mod hardware;
mod xml;

pub use domain::{domain_xml, opens, unmapped_networks};
