//! Containment: the worker shuts itself in, with Landlock, before it loads a plugin or opens a source. What it starts (tools, hypervisors)
//! is shut in with it. Which folders stay open is the business of `territory`.
//!
//! The kernel's own rules do the work, and no privilege is needed. A kernel that knows only a part of the rights that are asked for enforces
//! that part: before ABI 3 truncating and before ABI 5 device ioctls are not restricted (landlock(7)).

use landlock::{
    ABI, Access, AccessFs, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::territory::Territory;
use crate::config::ContainmentMode;
use crate::report::Containment;

/// The newest version of the rules whose rights this file knows.
const RIGHTS: ABI = ABI::V5;

/// Shuts this thread in, and all that it will start. Called before there is any other thread.
pub(super) fn contain(mode: ContainmentMode, territory: &Territory) -> Result<Containment> {
    if mode == ContainmentMode::Off {
        return Ok(Containment { contained: false, reason: "switched off by containment.mode".to_owned() });
    }
    let found = outcome(restrict(territory));
    match mode {
        ContainmentMode::Required if !found.contained => {
            Err(PluginError::missing(format!("the run cannot be contained: {}", found.reason))
                .hint("use a kernel with Landlock, or set containment.mode to auto"))
        }
        _ => Ok(found),
    }
}

/// What this machine offers, found out by shutting in a thread that does nothing else.
pub fn offered() -> Containment {
    std::thread::spawn(|| outcome(restrict(&Territory::default())))
        .join()
        .unwrap_or_else(|_| Containment { contained: false, reason: "trying it panicked".to_owned() })
}

fn restrict(territory: &Territory) -> Result<RestrictionStatus, RulesetError> {
    // What can be written is never run, unless it can be read by another rule, too.
    let write: BitFlags<AccessFs> = AccessFs::from_all(RIGHTS) & !BitFlags::from(AccessFs::Execute);
    let names: BitFlags<AccessFs> = AccessFs::ReadDir.into();
    let sockets =
        AccessFs::MakeDir | AccessFs::MakeSock | AccessFs::RemoveDir | AccessFs::RemoveFile | AccessFs::ReadDir;
    Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?
        .add_rules(path_beneath_rules(&territory.read, AccessFs::from_read(RIGHTS)))?
        .add_rules(path_beneath_rules(&territory.write, write))?
        .add_rules(path_beneath_rules(&territory.list, names))?
        .add_rules(path_beneath_rules(&territory.sockets, sockets))?
        .restrict_self()
}

fn outcome(status: Result<RestrictionStatus, RulesetError>) -> Containment {
    let status = match status {
        Ok(status) => status,
        Err(error) => return Containment { contained: false, reason: format!("Landlock refused: {error}") },
    };
    let contained = status.ruleset != RulesetStatus::NotEnforced;
    let reason = match status.landlock {
        LandlockStatus::NotEnabled => "Landlock is not enabled in this kernel".to_owned(),
        LandlockStatus::NotImplemented => "this kernel has no Landlock".to_owned(),
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            let abi = kernel_abi.unwrap_or(effective_abi as i32);
            let part = if status.ruleset == RulesetStatus::PartiallyEnforced { ", a part of the rights" } else { "" };
            format!("Landlock ABI {abi}{part}")
        }
    };
    Containment { contained, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own, which alone is shut in.
    fn inside<T: Send + 'static>(territory: Territory, work: impl FnOnce() -> T + Send + 'static) -> (Containment, T) {
        std::thread::spawn(move || (contain(ContainmentMode::Auto, &territory).unwrap(), work())).join().unwrap()
    }

    #[test]
    fn only_the_territory_is_left_where_the_kernel_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["read", "write", "secret"] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join("file"), name).unwrap();
        }
        let territory = Territory {
            read: vec![path("read")],
            write: vec![path("write")],
            sockets: vec![path("secret")],
            ..Territory::default()
        };
        let root = folder.path().to_owned();
        let (containment, tried) = inside(territory, move || {
            let read = |name: &str| std::fs::read(root.join(name).join("file")).is_ok();
            let write = |name: &str| std::fs::write(root.join(name).join("new"), "").is_ok();
            [read("read"), read("write"), read("secret"), write("write"), write("read"), write("secret")]
        });
        let all_but = if containment.contained { [true, true, false, true, false, false] } else { [true; 6] };
        assert_eq!(tried, all_but, "{}", containment.reason);
        assert_eq!(containment, offered());
    }

    #[test]
    fn switched_off_is_said() {
        let found = contain(ContainmentMode::Off, &Territory::default()).unwrap();
        assert_eq!((found.contained, &*found.reason), (false, "switched off by containment.mode"));
    }
}
