//! An export, once for all disks of a VM, and what each disk takes of it. ovftool keeps nothing of an export that broke; what was whole once is not exported again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Delivered, Link};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};
use vmdk2kvm_vsphere::request::{Elements, Request};
use vmdk2kvm_vsphere::{Address, Session, datastore, ways};

use crate::package;
use crate::program::{Person, Program};

/// Exports at once from one server, over all processes of this machine: a host packs each disk on its one processor.
const EXPORTS: u32 = 1;
/// The name of the package's files.
const STEM: &str = "vm";
/// Says that an export is whole, and of what.
const WHOLE: &str = "whole";
/// A disk's file in its own folder, and what it is of.
const DISK: &str = "disk.vmdk";
const STATE: &str = "disk.state";

/// Brings disks.
pub struct Delivery<'a> {
    /// The host.
    pub host: &'a Host,
    /// The program.
    pub program: Program,
    /// How long it may say nothing.
    pub patience: Duration,
    /// One export at a time.
    pub one: &'a Mutex<()>,
}

impl Delivery<'_> {
    /// Brings a disk into a folder of its own.
    pub fn deliver(&self, link: &Link, folder: &Path) -> Result<Delivered> {
        let disk = link.vm.disks.get(link.disk as usize);
        let disk = disk.ok_or_else(|| PluginError::defect("a link to a disk that the VM does not have"))?;
        let is_whole = || {
            folder.join(DISK).is_file()
                && std::fs::read_to_string(folder.join(STATE)).is_ok_and(|known| known == link.way.object)
        };
        if is_whole() {
            return Ok(Delivered::new(DISK, "vmdk", 0));
        }
        if link.hold.notes[ways::SNAPSHOT_NOTE].is_string() {
            return Err(PluginError::cannot("exporting a snapshot by ovftool"));
        }
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let export = self.export(link)?;
        let packed = package::disks(&export, STEM)?;
        let file = export.join(&package::choose(&packed, disk)?.file);
        let failed = |error| PluginError::from_io(folder.display(), &error);
        let bytes = file.metadata().map_err(failed)?.len();
        // In this order: a file without its state is taken again, and a state without its file is none.
        std::fs::write(folder.join(STATE), &link.way.object).map_err(failed)?;
        std::fs::rename(&file, folder.join(DISK)).map_err(failed)?;
        Ok(Delivered::new(DISK, "vmdk", bytes))
    }

    /// The folder of an export that is whole; exports the VM where there is none.
    fn export(&self, link: &Link) -> Result<PathBuf> {
        // Of a VM whose disks changed it is another one.
        let objects: Vec<&str> = link
            .vm
            .disks
            .iter()
            .flat_map(|disk| disk.ways.iter().filter(|way| way.scheme == ways::OVF).map(|way| way.object.as_str()))
            .collect();
        let what = format!("{:x}", Sha256::digest(objects.join("\n")));
        let folder = PathBuf::from(self.host.folder()?).join(&what[..32]);
        if std::fs::read_to_string(folder.join(WHOLE)).is_ok_and(|known| known == what) {
            return Ok(folder);
        }
        let failed = |error| PluginError::from_io(folder.display(), &error);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(failed)?;
        }
        std::fs::create_dir(&folder).map_err(failed)?;
        self.run(link, &folder)?;
        let packed = package::disks(&folder, STEM)?;
        package::verify(self.host, &folder, STEM, &packed)?;
        std::fs::write(folder.join(WHOLE), &what).map_err(failed)?;
        Ok(folder)
    }

    fn run(&self, link: &Link, folder: &Path) -> Result<()> {
        let note = |name: &str| link.hold.notes[name].as_str();
        let (Some(handle), Some(vm)) = (note(datastore::SESSION_NOTE), note(ways::VM_NOTE)) else {
            return Err(PluginError::cannot("exporting a VM whose catalog lends no session"));
        };
        let lent = self.host.secret_bytes(handle)?;
        let lent = lent.ok_or_else(|| PluginError::defect("the session that the catalog lent is not there"))?;
        let session = Session::borrow(&lent)?;
        let thumbprint = session.door().shown_thumbprint();
        let thumbprint = thumbprint.ok_or_else(|| PluginError::defect("the server's certificate was not seen"))?;
        let _place = self.host.slot(&format!("esx:{} exports", session.server()), EXPORTS)?;
        let name = escape(&link.vm.name).into_owned();
        let mut arguments: Vec<String> = [
            "--machineOutput",
            "--acceptAllEulas",
            "--shaAlgorithm=SHA256",
            "--exportFlags=mac,uuid,extraconfig",
            "-o",
            &format!("-n={STEM}"),
            &format!("--sourceSSLThumbprint={thumbprint}"),
        ]
        .map(str::to_owned)
        .to_vec();
        let source = format!("{}?moref=vim.VirtualMachine:{vm}", session.server());
        let mut person = None;
        let source = if session.is_vcenter() {
            arguments.push(format!("--I:sourceSessionTicket={}", ticket(&session)?));
            format!("vi://{source}")
        } else {
            let user = Address::parse(&link.source.uri)?.user.unwrap_or_default();
            let password = self.host.secret("password")?.ok_or_else(|| {
                PluginError::new(ErrorKind::Auth, "no password for ovftool is given")
                    .hint("name a file that holds it with --password-file")
            })?;
            let source = format!("vi://{}@{source}", in_locator(&user));
            person = Some(Person { user, password });
            source
        };
        arguments.push(source);
        arguments.push(folder.join(format!("{STEM}.ovf")).to_string_lossy().into_owned());
        let total: u64 = link.vm.disks.iter().map(|disk| disk.capacity_bytes).fold(0, u64::saturating_add);
        self.host.progress("export", 0, total);
        let mut progress = |percent: u8| {
            let done = u128::from(total) * u128::from(percent) / 100;
            self.host.progress("export", u64::try_from(done).unwrap_or(total), total);
        };
        let output = self.program.run(self.host, &arguments, person.as_ref(), self.patience, &mut progress);
        let output = output.map_err(|error| error.context(format!("exporting {name}")))?;
        for warning in &output.warnings {
            self.host.warn(format!("ovftool warns of {name}: {warning}"));
        }
        Ok(())
    }
}

/// A ticket by which the program goes on with our session: good for one use, so that it may stand among its arguments.
fn ticket(session: &Session) -> Result<String> {
    let request = Request::new("AcquireCloneTicket", &session.service("sessionManager")?, Elements::new());
    let what = "asking for a ticket";
    let answer = session.order(&request).map_err(|failed| failed.error(what, session.server()))?;
    let ticket = answer.text("returnval").unwrap_or_default();
    // It becomes a word among arguments, in no shell; a control character would still be none of it.
    if ticket.is_empty() || ticket.chars().any(char::is_control) {
        return Err(PluginError::unusable(format!("{what}: {} gives none", session.server())));
    }
    Ok(ticket.to_owned())
}

/// A user as a locator of ovftool has it.
fn in_locator(user: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    user.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_escaped_as_the_program_wants_them() {
        assert_eq!(in_locator("dom\\a@b.local"), "dom%5ca%40b.local");
        assert_eq!(in_locator("root"), "root");
    }
}
