//! What the new hypervisor is told about the machine.
//!
//! Pure functions from the model to text; nothing here talks to a hypervisor.

pub mod libvirt;
mod name;

pub use name::safe_name;
