//! Tools of hypervisors, taken out without their uninstallers, which only work where they came from: filters first, since a device whose
//! filter is missing does not work; then services and drivers, which are switched off; then the program's entries. What is VMware's is
//! deleted at the first start. What was there before is kept as a file that a person can import again.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Finding, Severity};

use super::first_boot::{FOLDER, Staged};
use super::plan::Planning;
use super::products::{OTHERS, Product, VMWARE};
use crate::edits::{number, texts};
use crate::inspect::tools::{PRODUCT, UNINSTALL};

/// The start of a service that is switched off.
const DISABLED: u32 = 4;
/// What these edits are for, which finds them again.
const CONCERN: &str = "tools of other hypervisors are switched off";
/// The file with what was there before.
const UNDO: &str = "undo.reg";
/// Largest such file, in bytes.
const LIMIT: u64 = 8 << 20;

/// Plans it; the file that undoes it, if there is anything to undo.
pub fn plan(planning: &mut Planning<'_>) -> Result<Option<Staged>> {
    planning.system.concern(CONCERN);
    planning.software.concern(CONCERN);
    let lists = filter_lists(planning)?;
    let mut off = Vec::new();
    off.extend(switch_off(planning, &VMWARE, &lists)?);
    for service in VMWARE.services {
        // What an unused package left has no start, and is no service.
        if planning.hives.system.number(&planning.hives.service(service), "Start")?.is_some() {
            planning.removed.push((*service).to_owned());
        }
    }
    programs(planning)?;
    for product in &OTHERS {
        off.extend(switch_off(planning, product, &lists)?);
    }
    if !off.is_empty() {
        let message = format!("switched off: {}", off.join("; "));
        planning.tell(Finding::new("tools-switched-off", Severity::Info, message).hint(
            "to have them again, import undo.reg, which the first start leaves in C:\\ProgramData\\vmdk2kvm, and before it what is in the folder removed there",
        ));
    }
    undo(planning)
}

/// Takes a product out; what was switched off, for a person.
fn switch_off(planning: &mut Planning<'_>, product: &Product, lists: &[FilterList]) -> Result<Option<String>> {
    let mut off = Vec::new();
    for list in lists {
        filters(planning, product, list, &mut off)?;
    }
    providers(planning, product, &mut off)?;
    for service in product.services {
        let key = planning.hives.service(service);
        let Some(start) = planning.hives.system.number(&key, "Start")? else { continue };
        if start != u64::from(DISABLED) {
            planning.system.set(&key, "Start", number(DISABLED))?;
            off.push(format!("{service} (start {start})"));
        }
    }
    Ok((!off.is_empty()).then(|| format!("{}: {}", product.name, off.join(", "))))
}

/// A key, and the name of its list of filters.
type FilterList = (String, &'static str);

/// Every list that has a filter of one of the products.
fn filter_lists(planning: &Planning<'_>) -> Result<Vec<FilterList>> {
    let hives = planning.hives;
    let mut keys = Vec::new();
    let class = hives.current("Control\\Class");
    keys.extend(hives.system.keys(&class)?.into_iter().map(|name| format!("{class}\\{name}")));
    let critical = hives.current("Control\\CriticalDeviceDatabase");
    keys.extend(hives.system.keys(&critical)?.into_iter().map(|name| format!("{critical}\\{name}")));
    let tree = hives.current("Enum");
    for bus in hives.system.keys(&tree)? {
        for device in hives.system.keys(&format!("{tree}\\{bus}"))? {
            let device = format!("{tree}\\{bus}\\{device}");
            keys.extend(hives.system.keys(&device)?.into_iter().map(|name| format!("{device}\\{name}")));
        }
    }
    let is_known = |name: &String| OTHERS.iter().chain([&VMWARE]).any(|product| is_among(product.filters, name));
    let mut lists = Vec::new();
    for key in keys {
        for list in ["UpperFilters", "LowerFilters"] {
            if hives.system.texts(&key, list)?.iter().any(is_known) {
                lists.push((key.clone(), list));
            }
        }
    }
    Ok(lists)
}

/// Takes a product's filters out of a list.
fn filters(
    planning: &mut Planning<'_>,
    product: &Product,
    (key, list): &FilterList,
    off: &mut Vec<String>,
) -> Result<()> {
    // Another product's may be out of it already.
    let now = planning.system.planned(key, list)?;
    let now = now.and_then(|value| value.texts().or_else(|| value.text().map(|text| vec![text]))).unwrap_or_default();
    let (own, left): (Vec<&str>, Vec<&str>) =
        now.iter().map(String::as_str).partition(|name| is_among(product.filters, name));
    own.iter().for_each(|name| tell(off, format!("{name} (a filter)")));
    match (own.is_empty(), left.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => planning.system.remove(key, list),
        (false, false) => planning.system.set(key, list, texts(&left)),
    }
}

/// Says it once.
fn tell(off: &mut Vec<String>, what: String) {
    if !off.contains(&what) {
        off.push(what);
    }
}

fn is_among(names: &[&str], name: &str) -> bool {
    names.iter().any(|own| own.eq_ignore_ascii_case(name.trim()))
}

fn providers(planning: &mut Planning<'_>, product: &Product, off: &mut Vec<String>) -> Result<()> {
    for order in ["Order", "HwOrder"] {
        let key = planning.hives.current(&format!("Control\\NetworkProvider\\{order}"));
        let Some(now) = planning.system.planned(&key, "ProviderOrder")? else { continue };
        let Some(text) = now.text() else { continue };
        let (own, left): (Vec<&str>, Vec<&str>) = text.split(',').partition(|name| is_among(product.providers, name));
        if let Some(name) = own.first() {
            tell(off, format!("{} (a network)", name.trim()));
            planning.system.set(&key, "ProviderOrder", crate::edits::text(now.type_number, &left.join(",")))?;
        }
    }
    Ok(())
}

/// The entry in the list of programs, which nobody could use any more, and what it starts with each logon.
fn programs(planning: &mut Planning<'_>) -> Result<()> {
    for list in UNINSTALL {
        for program in planning.hives.software.keys(list)? {
            let key = format!("{list}\\{program}");
            if planning.hives.software.text(&key, "DisplayName")?.as_deref() == Some(PRODUCT) {
                planning.software.empty(&key)?;
            }
        }
    }
    let run = "Microsoft\\Windows\\CurrentVersion\\Run";
    for value in planning.hives.software.values(run)? {
        if value.name.eq_ignore_ascii_case("VMware User Process")
            || value.name.eq_ignore_ascii_case("VMware VM3DService Process")
        {
            planning.software.remove(run, &value.name)?;
        }
    }
    Ok(())
}

/// What was there before. A file that is there already was made when it was still so.
fn undo(planning: &Planning<'_>) -> Result<Option<Staged>> {
    let reason = "everything that was switched off can be switched on again";
    if let Some(kept) = planning.guest.read(&planning.place.path(&format!("{FOLDER}/{UNDO}")), LIMIT)? {
        return Ok(Some(Staged { name: UNDO.to_owned(), content: kept, reason: reason.to_owned() }));
    }
    let before = [planning.software.before(CONCERN), planning.system.before(CONCERN)].concat();
    if before.is_empty() {
        return Ok(None);
    }
    // The editor of the registry reads this encoding in every language.
    let text = format!("\u{feff}Windows Registry Editor Version 5.00\r\n{}", before.replace('\n', "\r\n"));
    let content = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Ok(Some(Staged { name: UNDO.to_owned(), content, reason: reason.to_owned() }))
}
