//! chrony's reference clocks: chronyd ends when the device of one is missing, and the guest keeps no time. The clock of the old hypervisor is
//! taken out; a clock that only has a number may be another's, and is taken out where the time comes from somewhere else, too.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::textfile::{TextFile, Why, map_lines};

/// The fixer of clocks.
pub(super) struct Clocks;

const FILES: [&str; 2] = ["/etc/chrony.conf", "/etc/chrony/chrony.conf"];
/// Folders whose files are read with them, and the ends of these files' names.
const FOLDERS: [(&str, &str); 3] =
    [("/etc/chrony.d", ".conf"), ("/etc/chrony/conf.d", ".conf"), ("/etc/chrony/sources.d", ".sources")];
/// Links that udev makes to the clocks of other hypervisors.
const OF_HYPERVISORS: [&str; 2] = ["/dev/ptp_hyperv", "/dev/ptp_vmw"];

impl Fixer for Clocks {
    fn name(&self) -> String {
        "linux-clocks".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        430
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let mut paths: Vec<String> = FILES.map(str::to_owned).to_vec();
        for (folder, end) in FOLDERS {
            let entries = guest.list(folder)?.into_iter().flatten();
            let files = entries.filter(|entry| entry.kind == FileKind::File && entry.name.ends_with(end));
            paths.extend(files.map(|entry| format!("{folder}/{}", entry.name)));
        }
        let mut files = Vec::new();
        for path in paths {
            files.extend(TextFile::read(guest, &path, &mut plan.findings)?);
        }
        let has_other = files.iter().flat_map(TextFile::lines).any(|line| is_other_source(line.body));
        for file in &files {
            let mut gone = Vec::new();
            let text = map_lines(&file.text, |line| {
                let clock = clock(line)?;
                let goes = OF_HYPERVISORS.contains(&clock) || (has_other && is_numbered(clock));
                goes.then(|| {
                    gone.push(clock.to_owned());
                    format!("# vmdk2kvm: no such clock: {line}")
                })
            });
            let clocks = gone.join(", ");
            let why = Why {
                summary: &format!("{clocks} is no clock of chrony's"),
                reason: "the clock is the old hypervisor's, and chronyd does not start without it",
                critical: false,
            };
            plan.changes.extend(file.rewrite(&text, why));
            if !gone.is_empty() && !has_other {
                plan.findings.push(
                    Finding::new(
                        "no-time-source",
                        Severity::Warn,
                        format!("{}: chrony has no other source of time than {clocks}", file.path),
                    )
                    .hint("name a server there, or load ptp_kvm on the new machine and name /dev/ptp_kvm"),
                );
            }
        }
        Ok(plan)
    }
}

/// The device of a reference clock's line (chrony.conf(5)); options follow it behind colons.
fn clock(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_clock = words.next()?.eq_ignore_ascii_case("refclock") && words.next()?.eq_ignore_ascii_case("PHC");
    words.next().filter(|_| is_clock)?.split(':').next()
}

fn is_numbered(clock: &str) -> bool {
    clock
        .strip_prefix("/dev/ptp")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the line names a source of time that is no clock of this machine.
fn is_other_source(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    ["server", "pool", "peer"].iter().any(|source| word.eq_ignore_ascii_case(source))
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Action, Change, Content};

    use super::*;
    use crate::fixture::{self, MapGuest};

    fn text(change: &Change) -> String {
        let Action::WriteFile { content: Content::Text(text), .. } = &change.action else { panic!("{change:?}") };
        text.clone()
    }

    fn fixed(files: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let plan = Clocks.plan(&fixture::context(), &MapGuest::new(files)).unwrap();
        let changes = plan.changes.iter().map(|change| (change.target.clone(), text(change))).collect();
        (changes, plan.findings.into_iter().map(|finding| finding.message).collect())
    }

    #[test]
    fn the_old_hypervisors_clock_goes() {
        let path = "/etc/chrony/chrony.conf";
        for (text, wanted) in [
            (
                "pool a iburst\nrefclock PHC /dev/ptp_hyperv poll 3\nmakestep 1 3\n",
                Some("pool a iburst\n# vmdk2kvm: no such clock: refclock PHC /dev/ptp_hyperv poll 3\nmakestep 1 3\n"),
            ),
            (
                " RefClock phc /dev/ptp0:nocrossts poll 2\r\nServer a",
                Some("# vmdk2kvm: no such clock:  RefClock phc /dev/ptp0:nocrossts poll 2\r\nServer a"),
            ),
            ("server a\nrefclock PHC /dev/ptp_kvm\nrefclock PPS /dev/pps0\n#refclock PHC /dev/ptp_vmw\n", None),
            // Another's, for all that is known, and the only one.
            ("refclock PHC /dev/ptp0\n", None),
        ] {
            let wanted: Vec<_> = wanted.map(|text| (path.to_owned(), text.to_owned())).into_iter().collect();
            assert_eq!(fixed(&[(path, text)]), (wanted, Vec::new()), "{text}");
        }
    }

    #[test]
    fn sources_are_found_in_all_files() {
        let clock = ("/etc/chrony/conf.d/vm.conf", "refclock PHC /dev/ptp0\n");
        assert_eq!(fixed(&[clock, ("/etc/chrony/sources.d/a.sources", "peer a\n")]).0.len(), 1);
        assert_eq!(fixed(&[clock, ("/etc/chrony/sources.d/a.sources~", "peer a\n")]).0.len(), 0);
    }

    #[test]
    fn a_guest_without_any_other_time_is_told() {
        let (changes, findings) = fixed(&[("/etc/chrony.conf", "refclock PHC /dev/ptp_vmw\n")]);
        assert_eq!(changes[0].1, "# vmdk2kvm: no such clock: refclock PHC /dev/ptp_vmw\n");
        assert_eq!(findings, ["/etc/chrony.conf: chrony has no other source of time than /dev/ptp_vmw"]);
    }
}
