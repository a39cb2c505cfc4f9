//! Examples of every command: they end its `--help`, and stand in the manual before its options. A test reads each as a command line.

use clap::Command as Grammar;

/// A command line and what it does.
pub(super) type Example = (&'static str, &'static str);

/// What somebody reads who gives no command.
pub(super) const FIRST: &str = "\
vmdk2kvm turns a VMware virtual machine into a KVM virtual machine that boots. To begin:

  vmdk2kvm doctor               what this machine lacks, and which commands work without it
  vmdk2kvm plan web.ova         what a migration would change; changes nothing
  vmdk2kvm migrate web.ova -o web

`vmdk2kvm --help` has every command, `vmdk2kvm COMMAND --help` its options and examples.
";

/// By the words of the command.
const ALL: &[(&str, &[Example])] = &[
    (
        "migrate",
        &[
            ("vmdk2kvm migrate web.vmx -o web", "migrate, boot the result, and leave it in ./web"),
            (
                "vmdk2kvm migrate 'vsphere://admin@vc.example/DC/vm/web' --password-file pw --snapshot -o web",
                "read a running VM of a vCenter from a snapshot, which is removed again",
            ),
            ("vmdk2kvm migrate win.ova --virtio-win virtio-win.iso -o win", "give a Windows guest its drivers"),
            ("vmdk2kvm migrate web.vmx -o web --disk-out 1=/dev/vg/web", "write the first disk onto a logical volume"),
        ],
    ),
    (
        "inventory",
        &[
            ("vmdk2kvm inventory exports/", "every VM in a folder"),
            (
                "vmdk2kvm inventory vsphere://admin@vc.example --password-file pw --json",
                "every VM of a vCenter, as JSON",
            ),
        ],
    ),
    (
        "inspect",
        &[
            ("vmdk2kvm inspect web.ova", "show the guest's system, kernels, network and weaknesses"),
            ("vmdk2kvm inspect disk1.vmdk --disk disk2.vmdk", "the same of disks without a description"),
        ],
    ),
    (
        "plan",
        &[
            ("vmdk2kvm plan web.ova", "show every change with its diff, and the new machine"),
            ("vmdk2kvm plan web.vmx --out plan.json", "save the plan, to be reviewed and then applied"),
        ],
    ),
    (
        "apply",
        &[
            ("vmdk2kvm apply plan.json -o web", "carry out a saved plan; refused when the guest changed since"),
            ("vmdk2kvm apply plan.json -o web --skip test", "the same without the boot test"),
        ],
    ),
    (
        "flatten",
        &[
            ("vmdk2kvm flatten web.vmx -o flat", "write each disk, with its snapshots, as one qcow2 image"),
            ("vmdk2kvm flatten web-000002.vmdk -o flat --format raw", "the same from the top of a chain, as raw"),
        ],
    ),
    (
        "fix",
        &[
            ("vmdk2kvm fix disk1.qcow2 disk2.qcow2 -o fixed", "fix copies of a guest's disks"),
            ("vmdk2kvm fix disk.raw -o fixed --key all:file:passphrase", "the same of an encrypted one"),
        ],
    ),
    (
        "convert",
        &[
            ("vmdk2kvm convert disk.raw -o out --compress", "make a compressed qcow2 image"),
            ("vmdk2kvm convert disk.qcow2 -o out --format vdi", "make an image for VirtualBox"),
        ],
    ),
    (
        "cutover",
        &[
            ("vmdk2kvm cutover web", "end what `migrate --warm -o web` began"),
            ("vmdk2kvm cutover web --power-off", "switch the VM off when it does not shut down by itself"),
        ],
    ),
    (
        "test",
        &[
            ("vmdk2kvm test web", "boot a throw-away copy of a result"),
            ("vmdk2kvm test web --test libvirt", "the same as a domain of libvirt"),
        ],
    ),
    (
        "render",
        &[
            ("vmdk2kvm render web --target proxmox", "write a finished result down for Proxmox VE"),
            ("vmdk2kvm render web", "write its own definition again"),
        ],
    ),
    (
        "define",
        &[
            ("vmdk2kvm define web --pool default", "copy the images into a pool of libvirt and define the domain"),
            (
                "vmdk2kvm define web --connect qemu+ssh://root@kvm1/system --pool vms --network 'VM Network=br0'",
                "on another host",
            ),
        ],
    ),
    (
        "release",
        &[
            ("vmdk2kvm release web", "give back the snapshot of a run that was abandoned"),
            ("vmdk2kvm release web --password-file pw", "the same with the password of its source"),
        ],
    ),
    (
        "batch run",
        &[
            ("vmdk2kvm batch run jobs.toml -o vms --dry-run", "plan every VM, and estimate the time"),
            ("vmdk2kvm batch run jobs.toml -o vms", "migrate every VM; the same command continues"),
            ("vmdk2kvm batch run jobs.toml -o vms --only web", "only the one called web"),
        ],
    ),
    (
        "batch status",
        &[
            ("vmdk2kvm batch status jobs.toml -o vms", "how far each VM is, also while the batch runs"),
            ("vmdk2kvm batch status jobs.toml -o vms --json", "the same as JSON"),
        ],
    ),
    (
        "batch export slurm",
        &[(
            "vmdk2kvm batch export slurm jobs.toml -o /shared/vms --to scripts",
            "job arrays, to be submitted with sbatch",
        )],
    ),
    (
        "batch export kubernetes",
        &[(
            "vmdk2kvm batch export kubernetes jobs.toml -o /shared/vms --to manifests --image registry.example/vmdk2kvm:1",
            "an Indexed Job, to be applied with kubectl",
        )],
    ),
    (
        "plugin show",
        &[
            ("vmdk2kvm plugin show qemu-test", "its needs and settings"),
            ("vmdk2kvm plugin show vmdk-flatten --json", "all that its manifest says"),
        ],
    ),
    (
        "plugin check",
        &[
            ("vmdk2kvm plugin check ./libmine.so", "hold a plugin against the contract"),
            ("vmdk2kvm plugin check ./libmine.so --sample guest/", "the same with something that it is for"),
        ],
    ),
    (
        "plugin new",
        &[
            (
                "vmdk2kvm plugin new serial-console --kind fixer",
                "make a crate of a fixer, which builds and passes its tests",
            ),
            ("vmdk2kvm plugin new my-cloud --kind converter", "the same of a target"),
        ],
    ),
    (
        "plugin trust",
        &[
            ("vmdk2kvm plugin trust", "allow the plugins that can be used now, and no others"),
            ("vmdk2kvm plugin trust ./libmine.so", "allow one more"),
        ],
    ),
    ("plugin untrust", &[("vmdk2kvm plugin untrust ./libmine.so", "allow it no longer")]),
    (
        "doctor",
        &[
            ("vmdk2kvm doctor", "what this machine lacks, and what was left at sources"),
            ("vmdk2kvm doctor --json", "the same for programs"),
        ],
    ),
    (
        "live-fix",
        &[
            (
                "vmdk2kvm live-fix ssh://root@web --live",
                "fix a running Linux guest in place, before its disks are copied",
            ),
            (
                "vmdk2kvm live-fix ssh://admin@web --rollback --password-file pw",
                "put back what was changed; pw is for sudo",
            ),
        ],
    ),
    (
        "collect",
        &[
            ("vmdk2kvm collect web", "an archive of what a run left, with names and addresses masked"),
            (
                "vmdk2kvm collect web --with events.ndjson --to defect.tar.gz",
                "with the events of that run, to another file",
            ),
        ],
    ),
    (
        "config show",
        &[
            ("vmdk2kvm config show", "every setting as it is now"),
            ("vmdk2kvm config show -c site.toml -c web.yaml", "as two files make them, the later one first"),
        ],
    ),
    ("config check", &[("vmdk2kvm config check -c web.yaml", "whether a job file is right")]),
    ("completions", &[("vmdk2kvm completions bash", "the script, for /etc/bash_completion.d")]),
    ("man", &[("vmdk2kvm man", "the manual page; to read it: vmdk2kvm man | man -l -")]),
];

/// Those of a command; none for one that has others below it.
pub(super) fn of(command: &str) -> &'static [Example] {
    ALL.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// The grammar with the examples at the end of each command's help.
pub(super) fn added(grammar: Grammar) -> Grammar {
    add("", grammar)
}

fn add(path: &str, command: Grammar) -> Grammar {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |inner| add(&path, inner))
    });
    match of(path) {
        [] => command,
        examples => {
            let lines = examples.iter().map(|(line, about)| format!("  {line}\n      {about}\n"));
            command.after_help(format!("Examples:\n{}", lines.collect::<String>().trim_end()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::grammar;
    use super::*;

    /// The commands that have no others below them.
    fn leaves(path: &str, command: &Grammar) -> Vec<String> {
        if !command.has_subcommands() {
            return vec![path.to_owned()];
        }
        let below = |inner: &Grammar| leaves(format!("{path} {}", inner.get_name()).trim_start(), inner);
        command.get_subcommands().filter(|inner| inner.get_name() != "help").flat_map(below).collect()
    }

    #[test]
    fn every_command_has_examples_that_are_command_lines_of_its_own() {
        let leaves = leaves("", &grammar());
        for leaf in leaves.iter().filter(|leaf| *leaf != "plugin list") {
            assert!(!of(leaf).is_empty(), "{leaf} has no example");
        }
        for (command, examples) in ALL {
            assert!(leaves.iter().any(|leaf| leaf == command), "{command}");
            for (line, _) in *examples {
                let begin = format!("vmdk2kvm {command}");
                assert!(*line == begin || line.starts_with(&format!("{begin} ")), "{line}");
                // What a plugin adds is its own.
                let words: Vec<String> = words(line).into_iter().filter(|word| !word.contains("virtio-win")).collect();
                grammar().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    /// The words of a line, as a shell takes it: single quotes alone.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words
    }
}
