//! VMs of a vCenter and of an ESXi host: the lab's (tests/vcsim), by its SOAP API or the real govc, and `/folder`. Small disks, read without an appliance;
//! needs Go for the first build of the lab.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, DISK, Planted, Running, Site, Vcenter, binary, digest, disk_name, uri_path, vm};

/// The beginning of the lab's password, as it is in every form of writing it.
const PASSWORD: Planted<'_> = Planted("lab-P4ss");
/// Names that have to be escaped somewhere.
const ODD: [&str; 5] = ["old & odd", "100% ä", "a?b#c", "50%2 'x", "a/b"];
/// Both catalogs, at a vCenter and at a host.
const EVERYWHERE: [(By, &[&str]); 4] = [(By::Soap, &[]), (By::Soap, &["-esx"]), (By::Govc, &[]), (By::Govc, &["-esx"])];

#[test]
fn every_vm_is_listed_and_found_whatever_its_name() {
    let mut vms: Vec<Value> = ODD.iter().map(|name| vm(name, "prod & test", false)).collect();
    vms.push(vm("twin", "one", false));
    vms.push(vm("other", "", true));
    for (by, flags) in EVERYWHERE {
        let site = Site::new(by, &vms, flags);
        let listed = site.vms("");
        let names: BTreeSet<&str> = listed.iter().map(|vm| vm["name"].as_str().unwrap()).collect();
        assert_eq!(names, ODD.into_iter().chain(["twin", "other"]).collect());
        let running = listed.iter().find(|vm| vm["name"] == "other").unwrap();
        assert_eq!(
            (&running["power"], &running["snapshots"], &running["concerns"][0]["code"]),
            (&json!("on"), &json!(0), &json!("vm-running"))
        );
        assert_eq!((&running["datastores"], &running["memory_bytes"]), (&json!(["datastore1"]), &json!(1 << 30)));
        assert_eq!(running["moref"], site.lab.moref("other"));
        for vm in &listed {
            assert_eq!(
                (&vm["disks"][0]["capacity_bytes"], &vm["nics"][0]["network"]),
                (&json!(DISK), &json!("prod & net"))
            );
            // What is listed as a path names the VM again.
            let again = site.vms(vm["path"].as_str().unwrap());
            assert_eq!((again.len(), &again[0]["moref"]), (1, &vm["moref"]), "{}", vm["path"]);
        }
        for name in ODD {
            let outcome = site.flatten(&uri_path(&[name]), "", &disk_name(name, ""), &[]).expect(0);
            assert_eq!(site.sha256(&disk_name(name, "")), site.truth(name, ""), "{name}");
            assert_eq!(outcome.json["ways"][0]["plugin"], "vsphere-http 0.1.0");
        }
        site.nothing_is_left();
        let missing = site.flatten("/nosuch", "", "none", &[]).expect(65);
        assert_eq!(missing.message(), format!("{} has no VM 'nosuch' (vm-not-found)", site.lab.fact("address")));
        site.nothing_is_left();
    }
}

#[test]
fn a_vm_that_runs_needs_a_word_and_gets_its_snapshot_back() {
    for (by, flags) in EVERYWHERE {
        let site = Site::new(by, &[vm("web", "", true)], flags);
        let refused = site.flatten("/web", "", "refused", &[]).expect(81);
        assert_eq!(refused.message(), "web runs, and reading its disks needs a snapshot (vm-running)");
        assert_eq!(refused.hint(), "allow that with --snapshot, or a shut-down with --power-off");
        site.nothing_is_left();
        let truth = site.truth("web", "");
        let outcome = site.flatten("/web", "", "taken", &["--snapshot", "--enable-cbt"]).expect(0);
        assert_eq!(site.sha256("taken"), truth);
        let held = outcome.json["source"]["held"].to_string();
        assert!(
            held.contains("change tracking of web was turned on") && held.contains("snapshot \\\"vmdk2kvm "),
            "{held}"
        );
        site.nothing_is_left();
        assert_eq!(site.vms("/web")[0]["change_tracking"], false, "it was off before");
    }
}

#[test]
fn a_chain_of_snapshots_is_flattened_while_it_is_fetched() {
    let mut chained = vm("chain", "", false);
    chained["snapshots"] = json!(["before", "later"]);
    let mut site = Site::new(By::Soap, &[chained], &[]);
    site.lab.control("POST", "/write?vm=chain&disk=0&offset=1048576", &[7; 1 << 20]);
    for by in By::ALL {
        site = site.asked_by(by);
        let (now, older) = (format!("now-{by:?}"), format!("older-{by:?}"));
        site.flatten("/chain", "", &now, &[]).expect(0);
        assert_eq!(site.sha256(&now), site.truth("chain", ""));
        site.flatten("/chain", "?snapshot=before", &older, &[]).expect(0);
        assert_eq!(site.sha256(&older), site.truth("chain", "&snapshot=before"));
        assert_ne!(site.sha256(&older), site.sha256(&now));
        let state = site.lab.state();
        assert_eq!((&state["sessions"], &state["snapshots"]["chain"]), (&json!(0), &json!(["before", "later"])));
    }
}

#[test]
fn what_goes_wrong_on_the_way_is_overcome() {
    let mut site = Site::new(By::Soap, &[vm("web", "", false)], &[]);
    let truth = site.truth("web", "");
    for (number, (by, fault)) in [
        (By::Soap, json!({"path": "-flat", "kind": "401", "skip": 2})),
        (By::Soap, json!({"path": "-flat", "kind": "503", "skip": 1, "count": 3})),
        (By::Soap, json!({"path": "-flat", "kind": "drop", "after": 100_000, "skip": 2, "count": 2})),
        (By::Soap, json!({"path": "-flat", "kind": "drop", "after": 0, "skip": 1})),
        (By::Soap, json!({"path": "-flat", "kind": "short", "count": 4})),
        (By::Soap, json!({"path": "/sdk", "kind": "503", "skip": 3, "count": 2})),
        (By::Govc, json!({"path": "/sdk", "kind": "503", "skip": 9, "count": 2})),
        (By::Soap, json!({"method": "RetrievePropertiesEx", "fault": "NotAuthenticated", "skip": 1})),
        (By::Govc, json!({"method": "WaitForUpdatesEx", "fault": "NotAuthenticated", "skip": 1})),
    ]
    .into_iter()
    .enumerate()
    {
        site = site.asked_by(by);
        site.lab.fault(&fault);
        site.flatten("/web", "", &format!("{number}"), &[]).expect(0);
        assert_eq!(site.sha256(&number.to_string()), truth, "{fault}");
        let state = site.lab.state();
        assert_eq!((&state["pending_faults"], &state["sessions"]), (&json!(0), &json!(0)), "{fault}");
        assert!(state["stats"]["peak"].as_u64().unwrap() <= 4, "{state}");
    }
}

#[test]
fn what_cannot_be_overcome_has_its_code_and_its_sentence() {
    let mut site = Site::new(By::Soap, &[vm("web", "", true), vm("web2", "", false)], &[]);
    let faults = [
        (json!({"method": "Login", "fault": "InvalidLogin"}), "web2", 77, "refuses it with InvalidLogin"),
        (
            json!({"method": "CreateSnapshot_Task", "task": true, "fault": "InsufficientResourcesFault"}),
            "web",
            75,
            "making a snapshot of web: ",
        ),
        (json!({"method": "CreateSnapshot_Task", "fault": "NoPermission"}), "web", 77, "refuses it with NoPermission"),
        (
            json!({"method": "CreateSnapshot_Task", "fault": "RestrictedVersion"}),
            "web",
            77,
            "refuses it with RestrictedVersion",
        ),
        (json!({"path": "-flat", "kind": "404"}), "web2", 65, "web2-flat.vmdk: it is not there"),
        (json!({"path": "-flat", "kind": "403"}), "web2", 77, "does not let this user read it (HTTP 403 Forbidden)"),
    ];
    for (by, (fault, vm, code, sentence)) in By::ALL.into_iter().flat_map(|by| faults.iter().map(move |it| (by, it))) {
        site = site.asked_by(by);
        site.lab.fault(fault);
        let outcome = site.flatten(&format!("/{vm}"), "", "out", &["--snapshot"]).expect(*code);
        // A server's refusal is no matter of this machine's folders.
        let (message, hint) = (outcome.message(), outcome.hint());
        assert!(
            message.contains(sentence) && !hint.is_empty() && !hint.contains("containment"),
            "{fault}: {message} {hint}"
        );
        site.nothing_is_left();
    }
}

#[test]
fn a_certificate_is_believed_by_its_digest_or_by_its_authority_alone() {
    let mut site = Site::new(By::Soap, &[vm("web", "", false)], &[]);
    let (server, shown) = (site.lab.fact("address").to_owned(), site.lab.fact("thumbprint_sha256").to_owned());
    let pinned = site.lab.uri("/web", "");
    let other = pinned.replace(&shown, &"00:".repeat(32)[..95]);
    let bare = pinned.split('?').next().unwrap().to_owned();
    let sha1 = pinned.replace(&shown, site.lab.fact("thumbprint_sha1"));
    for by in By::ALL {
        site = site.asked_by(by);
        let ca = format!("plugin.{}.ca={:?}", by.plugin(), site.lab.fact("certificate"));
        // An authority that vouches for it does not help against a pin.
        for more in [&[][..], &["--set", &ca]] {
            let changed = site.run(&[&["inventory", &other], more].concat()).expect(77);
            let message = changed.message();
            assert!(
                message.starts_with(&format!("{server} shows another certificate than the pinned 00:")),
                "{message}"
            );
            assert!(message.contains(&shown), "{message}");
        }
        let unknown = site.run(&["inventory", &bare]).expect(77);
        let sentence =
            format!("the certificate of {server} is not trusted; its SHA-256 is {shown} (thumbprint-unknown)");
        assert_eq!(unknown.message(), sentence);
        assert!(unknown.hint().contains("?thumbprint="), "{}", unknown.hint());
        for right in [&["inventory", &pinned][..], &["inventory", &sha1], &["inventory", &bare, "--set", &ca]] {
            assert_eq!(site.run(right).expect(0).json["vms"][0]["name"], "web", "{right:?}");
        }
        site.nothing_is_left();
    }
}

#[test]
fn a_snapshot_that_cannot_be_removed_is_told_and_removed_later() {
    for by in By::ALL {
        let site = Site::new(by, &[vm("web", "", true)], &[]);
        site.lab.fault(&json!({"method": "RemoveSnapshot_Task", "task": true, "fault": "FileFault", "count": 4}));
        let outcome = site.flatten("/web", "", "out", &["--snapshot"]).expect(0);
        let warnings = outcome.json["warnings"].to_string();
        assert!(warnings.contains("removing the snapshot") && warnings.contains("`vmdk2kvm release "), "{warnings}");
        assert_eq!(site.lab.state()["snapshots"]["web"].as_array().unwrap().len(), 1);
        site.run(&["release", site.results.path().join("out").to_str().unwrap()]).expect(0);
        site.nothing_is_left();
    }
}

#[test]
fn two_vms_of_one_name_are_told_apart() {
    let twin = |folder: &str| {
        let mut twin = vm("twin", folder, false);
        twin["files"] = format!("twin-{folder}").into();
        twin
    };
    let mut site = Site::new(By::Soap, &[twin("one"), twin("two")], &[]);
    for by in By::ALL {
        site = site.asked_by(by);
        let refused = site.flatten("/twin", "", "none", &[]).expect(65);
        let message = refused.message();
        assert!(message.contains("several VMs 'twin': /DC0/vm/one/twin (vm-"), "{message}");
        assert!(message.ends_with("(vm-ambiguous)") && refused.hint().contains("?moref="), "{message}");
        assert_eq!((site.vms("/DC0/vm/two/twin").len(), site.vms("/twin").len()), (1, 2));
        for folder in ["one", "two"] {
            let output = format!("{folder}-{by:?}");
            site.flatten(&format!("/DC0/vm/{folder}/twin"), "", &output, &[]).expect(0);
            let disk = site.lab.datastore().join(format!("{}.raw", disk_name("twin", folder)));
            assert_eq!(site.sha256(&output), digest(&disk), "{folder}");
        }
        site.nothing_is_left();
    }
}

#[test]
fn the_password_is_nowhere() {
    for by in By::ALL {
        let site = Site::new(by, &[vm("web", "", true)], &["-latency", "20ms"]);
        let (out, uri) = (site.results.path().join("out"), site.lab.uri("/web", ""));
        let arguments = ["flatten", &uri, "-o", out.to_str().unwrap(), "--snapshot", "--log-level", "trace"];
        let mut run = Running::start(site.command(&arguments));
        let (mut looks, mut programs) = (0, 0);
        while !run.has_ended() {
            for process in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
                for member in ["cmdline", "environ"] {
                    let text = std::fs::read(process.path().join(member)).unwrap_or_default();
                    assert!(!PASSWORD.is_in(&text), "{}/{member}", process.path().display());
                    programs += usize::from(text.windows(14).any(|word| word == b"GOVC_PASSWORD="));
                }
            }
            PASSWORD.look_into(site.results.path());
            looks += 1;
        }
        // Other tests run govc at the same time.
        assert!(looks > 1 && (programs > 0 || by != By::Govc), "{looks} {programs}");
        let events = serde_json::to_vec(&run.events()).unwrap();
        let outcome = run.end().expect(0);
        assert!(
            !PASSWORD.is_in(&events)
                && !PASSWORD.is_in(outcome.stderr.as_bytes())
                && !PASSWORD.is_in(outcome.json.to_string().as_bytes())
        );
        assert!(PASSWORD.look_into(site.results.path()) > 0);
        let kept = std::fs::read_dir(site.results.path().join("runtime/vmdk2kvm")).into_iter().flatten();
        let is_ours = |name: std::ffi::OsString| name.to_string_lossy().starts_with("govc-");
        assert_eq!(kept.filter(|entry| is_ours(entry.as_ref().unwrap().file_name())).count(), 0);
        site.nothing_is_left();
    }
}

#[test]
fn after_a_crash_the_next_run_goes_on_with_the_same_snapshot() {
    for by in By::ALL {
        let site = Site::new(by, &[vm("web", "", true)], &["-rate", "4000000"]);
        let truth = site.truth("web", "");
        let (out, uri) = (site.results.path().join("out"), site.lab.uri("/web", ""));
        let arguments = ["flatten", &uri, "-o", out.to_str().unwrap(), "--snapshot", "--format", "raw"];
        let mut run = Running::start(site.command(&arguments));
        let copies =
            |event: &Value| event["event"] == "progress" && event["done_bytes"].as_u64().unwrap_or_default() > 0;
        run.wait_for("bytes", copies);
        run.kill("worker-process");
        run.end().expect(75);
        let left = site.lab.state()["snapshots"]["web"].clone();
        assert_eq!(left.as_array().unwrap().len(), 1);
        site.run(&arguments).expect(0);
        assert_eq!(site.sha256("out"), truth);
        assert_eq!(site.lab.state()["snapshots"], json!({}));
        assert_eq!(site.lab.state()["stats"]["calls"]["CreateSnapshot_Task"], 1);
    }
}

/// JSON in which nobody says which catalog it came from.
fn unnamed(value: &Value, by: By) -> String {
    value.to_string().replace(by.plugin(), "the catalog")
}

#[test]
fn both_catalogs_say_the_same_byte_for_byte() {
    let mut vms: Vec<Value> = ODD.iter().map(|name| vm(name, "prod & test", false)).collect();
    vms.push(vm("other", "", true));
    let mut chained = vm("chain", "", false);
    chained["snapshots"] = json!(["before", "later %"]);
    chained["firmware"] = "efi".into();
    chained["secure_boot"] = true.into();
    chained["cbt"] = true.into();
    chained["uuid"] = "4213ab00-0000-0000-0000-00000000000a".into();
    chained["disks"] = json!([{"file": "one.raw", "controller": "lsilogic-sas", "unit": 3}, {"file": "two.raw", "controller": "sata"},
        {"file": "three.raw", "controller": "nvme", "mode": "independent_persistent"}]);
    vms.push(chained);
    for flags in [&[][..], &["-esx"]] {
        let mut site = Site::new(By::Soap, &vms, flags);
        let mut said: Vec<Vec<String>> = Vec::new();
        for by in By::ALL {
            site = site.asked_by(by);
            let listed = site.vms("");
            assert_eq!(listed.len(), vms.len());
            let mut all = vec![unnamed(&json!(listed), by)];
            for (vm, more) in
                [("/chain", ""), ("/chain", "?snapshot=before"), ("", "?uuid=4213ab00-0000-0000-0000-00000000000a")]
            {
                let described = site.flatten(vm, more, &format!("out-{}", all.len()), &[]).expect(0).json;
                assert_eq!(described["vm"]["disks"].as_array().unwrap().len(), 3);
                all.push(unnamed(&json!([described["vm"], described["warnings"], described["chain"]]), by));
                std::fs::remove_dir_all(site.results.path().join(format!("out-{}", all.len() - 1))).unwrap();
            }
            for wrong in ["/nosuch", "/chain?snapshot=none"] {
                let (path, more) = wrong.split_at(wrong.find('?').unwrap_or(wrong.len()));
                all.push(site.flatten(path, more, "none", &[]).expect(65).message().to_owned());
            }
            said.push(all);
        }
        for (soap, govc) in said[0].iter().zip(&said[1]) {
            assert_eq!(soap, govc);
        }
        let state = site.lab.state();
        assert_eq!((&state["sessions"], &state["leases"]), (&json!(0), &json!(0)));
    }
}

#[test]
fn what_the_server_says_before_a_byte_moves_is_found() {
    let mut site = Site::new(By::Soap, &[vm("web", "", true), vm("off", "", false)], &[]);
    for by in By::ALL {
        site = site.asked_by(by);
        let refused = |arguments: &[&str], code: i32| {
            let outcome = site.flatten("/off", "", "out", arguments).expect(code);
            assert!(!outcome.hint().is_empty());
            outcome.message().to_owned()
        };
        site.lab.control("POST", "/set?maintenance=1", b"");
        assert!(refused(&[], 75).ends_with(" is in maintenance mode (host-in-maintenance)"));
        let listed = site.vms("/off");
        let codes: Vec<&Value> = listed[0]["concerns"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
        assert_eq!(codes, ["host-in-maintenance"]);
        site.lab.control("POST", "/set?maintenance=0", b"");
        for (task, message) in [
            ("relocate", "off: it is being moved to another host or datastore (vm-migrating)"),
            ("reconfigure", "off: a task works on it: VirtualMachine.reconfigure (task-running)"),
        ] {
            site.lab.control("POST", &format!("/busy?vm=off&task={task}"), b"");
            assert_eq!(refused(&[], 75), message);
        }
        site.lab.control("POST", "/busy?vm=off", b"");
        site.lab.control("POST", "/deny?privilege=Datastore.Browse&privilege=VApp.Export", b"");
        assert!(refused(&[], 81).contains("Datastore.Browse is missing"));
        // The other way is open.
        site.lab.control("POST", "/deny?privilege=Datastore.FileManagement", b"");
        let taken = site.flatten("/off", "", "out", &[]).expect(0);
        assert_eq!(taken.json["ways"][0]["scheme"], "nfc-lease");
        let found = taken.json["vm"]["findings"].to_string();
        assert!(found.contains("Datastore.FileManagement is missing"), "{found}");
        std::fs::remove_dir_all(site.results.path().join("out")).unwrap();
        site.lab.control("POST", "/deny", b"");
        site.lab.fault(&json!({"method": "HasPrivilegeOnEntities", "fault": "NotSupported", "count": 2}));
        site.flatten("/off", "", "out", &[]).expect(0);
        std::fs::remove_dir_all(site.results.path().join("out")).unwrap();
        site.nothing_is_left();
    }
}

#[test]
fn govc_asks_where_it_is_and_either_catalog_can_be_forced() {
    let site = Site::new(By::Soap, &[vm("web", "", false)], &[]);
    let uri = site.lab.uri("/web", "");
    let here = format!("/usr/bin:/bin:{}", Vcenter::govc().parent().unwrap().display());
    let logs_in = || site.lab.state()["stats"]["calls"]["CreateFilter"].as_u64().unwrap_or_default();
    for (path, forced, plugin, by_govc) in [
        (here.as_str(), None, By::Govc, true),
        ("/usr/bin:/bin", None, By::Soap, false),
        (here.as_str(), Some(By::Soap), By::Soap, false),
        (here.as_str(), Some(By::Govc), By::Govc, true),
        ("/usr/bin:/bin", Some(By::Govc), By::Govc, false),
    ] {
        let before = logs_in();
        let mut all = Command::new(binary());
        all.args(["inventory", &uri, "--password-file", site.lab.password_file()]).env("PATH", path);
        if let Some(forced) = forced {
            all.args(["--set", &format!("plugins.fetcher={}", forced.plugin())]);
        }
        let outcome = Running::start(site.alone(all)).end().expect(0);
        assert_eq!(outcome.json["vms"][0]["origin"]["fetcher"], plugin.plugin(), "{path} {forced:?}");
        // Of the two govc alone collects by filters.
        assert_eq!(logs_in() > before, by_govc, "{path} {forced:?}");
        let falls_back = outcome.stderr.contains("govc is not on this machine: the SOAP API is asked in its place");
        assert_eq!(falls_back, plugin == By::Govc && !by_govc, "{}", outcome.stderr);
        site.nothing_is_left();
    }
}
