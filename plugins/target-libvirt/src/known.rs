//! Whether a domain is there already, and whose it is. libvirt has no word for "do not replace": a definition of the same name and UUID takes
//! the place of what is there, silently.

use vmdk2kvm_libvirt::domain::{domain_name, uuid};
use vmdk2kvm_libvirt::mark::{Mark, NAMESPACE};
use vmdk2kvm_libvirt::{Connection, Domain};
use vmdk2kvm_plugin_api::model::Machine;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// A domain that is ours.
pub(super) struct Known {
    pub domain: Domain,
    pub mark: Mark,
    /// Its document as it is defined.
    pub xml: String,
    pub uuid: String,
}

/// The domain that the machine's would replace; `None`: there is none. One that is not ours is an error, as is a name and a UUID of
/// different domains.
pub(super) fn look_up(connection: &Connection, machine: &Machine) -> Result<Option<Known>> {
    let name = domain_name(&machine.name);
    let wanted = machine.uuid.as_deref().and_then(uuid);
    let asked = |error: vmdk2kvm_libvirt::Error| error.during(format_args!("the domain {name} could not be looked up"));
    let by_name = connection.domain_by_name(&name).map_err(asked)?;
    let by_uuid = wanted.as_deref().map(|uuid| connection.domain_by_uuid(uuid)).transpose().map_err(asked)?.flatten();
    let (named, same) = match (by_name, by_uuid) {
        (None, None) => return Ok(None),
        (Some(named), None) => (named, wanted.is_none()),
        (None, Some(same)) => {
            let there = same.name();
            check_ours(&same, &there)?;
            return Err(taken(format!("a domain with the UUID of {name} exists already under the name {there}"))
                .hint(format!("migrate with --name {there}, or undefine it: virsh undefine {there}")));
        }
        (Some(named), Some(same)) => {
            let is_one = named.uuid().map_err(asked)? == same.uuid().map_err(asked)?;
            if !is_one {
                let other = same.name();
                return Err(taken(format!("the name {name} and its UUID belong to two domains, {name} and {other}"))
                    .hint("migrate with another name: --name NAME"));
            }
            (named, true)
        }
    };
    let mark = check_ours(&named, &name)?;
    let uuid = named.uuid().map_err(asked)?;
    if !same {
        return Err(taken(format!("a domain {name} exists already, of another machine (UUID {uuid})"))
            .hint("migrate with another name: --name NAME"));
    }
    let xml = named.defined_xml().map_err(asked)?;
    Ok(Some(Known { domain: named, mark, xml, uuid }))
}

/// The mark of a domain that is ours.
fn check_ours(domain: &Domain, name: &str) -> Result<Mark> {
    let mark = domain.metadata(NAMESPACE).map_err(|error| error.during(format_args!("the metadata of {name}")))?;
    match mark {
        Some(mark) => Mark::parse(&mark),
        None => Err(taken(format!("a domain {name} exists already, and was not defined by this program"))
            .hint("migrate with another name (--name NAME): domains of others are never replaced")),
    }
}

fn taken(message: String) -> PluginError {
    PluginError::output(message)
}
