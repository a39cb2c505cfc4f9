use std::fs;
use std::time::Duration;

use serde_json::json;

use super::*;

fn list(name: &str, text: impl AsRef<[u8]>) -> Result<List> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    read(&path, None)
}

fn refused(name: &str, text: impl AsRef<[u8]>) -> (u8, String) {
    let error = list(name, text).unwrap_err();
    let message = error.message.rsplit_once('/').map_or(error.message.clone(), |(_, rest)| rest.to_owned());
    (error.kind.exit_code(), message)
}

#[test]
fn a_tree_has_defaults_limits_retries_and_vms() {
    let list = list(
        "jobs.toml",
        "output = \"out\"\n[defaults]\nformat = \"raw\"\n[limits]\ntotal = 3\n\"host:*\" = 1\n[retries]\npauses = [1, 2]\nplace_pause = 7\n\
         [[vm]]\nsource = \"web.vmx\"\ngroup = \"g\"\nkeys = [\"host:a\"]\nbytes = 5\ntest = { plugin = \"none\" }\n[[vm]]\nname = \"db\"\nsource = { uri = \"x\", vm = \"y\" }\n",
    )
    .unwrap();
    assert_eq!((list.limits.of("host:b"), list.limits.total()), (Some(1), 3));
    assert_eq!(
        list.retries,
        Retries { pauses: vec![Duration::from_secs(1), Duration::from_secs(2)], place: Duration::from_secs(7) }
    );
    assert!(list.output.unwrap().ends_with("out"));
    assert_eq!(list.defaults.unwrap().tree["format"], "raw");
    let [web, db] = &list.rows[..] else { panic!() };
    assert_eq!((web.source(), &web.keys[..], web.bytes), (Some("web.vmx"), &["host:a".to_owned()][..], Some(5)));
    assert_eq!(web.settings["test"], json!({"plugin": "none"}));
    assert_eq!((db.name.as_deref(), db.source()), (Some("db"), Some("x")));
    assert_eq!((web.group.as_deref(), &db.group), (Some("g"), &None));
}

#[test]
fn a_table_is_the_same_with_commas_or_semicolons_and_with_a_mark() {
    for text in [
        "\u{feff}name,source,group,keys,bytes,test.plugin,compress\nweb,far://vc/web,g,host:a store:b,7,none,true\n,\"a,b.vmx\",,,,,\n",
        "name;source;group;keys;bytes;test.plugin;compress\nweb;far://vc/web;g;host:a store:b;7;none;true\n;a,b.vmx;;;;;\n",
    ] {
        let list = list("jobs.csv", text).unwrap();
        let [web, other] = &list.rows[..] else { panic!("{text}") };
        assert_eq!((web.name.as_deref(), web.source(), web.bytes), (Some("web"), Some("far://vc/web"), Some(7)));
        assert_eq!((&web.keys[..], web.group.as_deref()), (&["host:a", "store:b"].map(str::to_owned)[..], Some("g")));
        assert_eq!((&web.settings["test"], &web.settings["compress"]), (&json!({"plugin": "none"}), &json!(true)));
        assert!(other.source().unwrap().ends_with("/a,b.vmx"), "relative to the list");
    }
}

#[test]
fn what_is_wrong_with_a_list_is_one_sentence_and_its_code() {
    let utf16: Vec<u8> = "\u{feff}name,source\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let many = format!("name,source\n{}", "a,b\n".repeat(100_000));
    for (name, text, code, message) in [
        (
            "jobs.csv",
            b"name,sorce\na,b\n".to_vec(),
            78,
            "jobs.csv, line 1: unknown column `sorce`; did you mean `source`?",
        ),
        ("jobs.csv", b"name,name\na,b\n".to_vec(), 78, "jobs.csv, line 1: the column `name` appears twice"),
        ("jobs.csv", b"name,source\na\n".to_vec(), 65, "jobs.csv, line 2: 1 cells under 2 names"),
        ("jobs.csv", b"name,source\n".to_vec(), 65, "jobs.csv: it lists no virtual machine"),
        ("jobs.csv", b"source,bytes\na,x\n".to_vec(), 78, "jobs.csv, line 2: `bytes` must be a whole number"),
        ("jobs.csv", b"source,keys\na,Host:x\n".to_vec(), 78, "jobs.csv, line 2: `Host:x` is not a key KIND:NAME"),
        ("jobs.csv", b"name,source\n\xff,b\n".to_vec(), 65, "jobs.csv: line 2 is not UTF-8"),
        ("jobs.csv", utf16, 65, "jobs.csv: it is UTF-16, or not text"),
        ("jobs.csv", many.into_bytes(), 65, "jobs.csv: it lists more than 50000 virtual machines"),
        ("jobs.toml", b"outputs = 1".to_vec(), 78, "jobs.toml: unknown key `outputs`; did you mean `output`?"),
        (
            "jobs.toml",
            b"limits = { host = 1 }".to_vec(),
            78,
            "jobs.toml: `host` is not a key: KIND:NAME, KIND:*, total or boot",
        ),
        ("jobs.toml", b"limits = { total = \"x\" }".to_vec(), 78, "jobs.toml: the limit of total is no number"),
        (
            "jobs.toml",
            b"[retries]\npauses = [99999999]".to_vec(),
            78,
            "jobs.toml: `retries.pauses` must be a list of at most 10 numbers of seconds, each of at most a day",
        ),
        ("jobs.toml", b"[[vm]]\nname = 1".to_vec(), 78, "jobs.toml, VM 1: `name` must be a text"),
        ("jobs.toml", b"vm = 1".to_vec(), 78, "jobs.toml: `vm` must be a list of tables, [[vm]]"),
        ("jobs.txt", b"".to_vec(), 78, "jobs.txt: the ending does not say whether this is TOML or YAML"),
    ] {
        assert_eq!(refused(name, text), (code, message.to_owned()));
    }
}

const INFO: &str = "VM,Powerstate,Template,CPUs,In Use MiB,Host,VM ID,VI SDK Server\n\
    web,poweredOff,False,2,\"1,024\",esx-a,vm-1,vc.example\nweb,poweredOn,False,2,2048,esx-b,vm-2,vc.example\ngold,poweredOff,True,2,,esx-b,vm/3,vc.example\n";

#[test]
fn an_inventory_names_places_sizes_and_what_should_be_known() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("RVTools_tabvInfo.csv"), INFO).unwrap();
    fs::write(
        folder.path().join("RVTools_tabvDisk.csv"),
        "VM;VM ID;Path\nweb;vm-1;[ds1] web/web.vmdk\nweb;vm-1;[ds 2] web/b.vmdk\n",
    )
    .unwrap();
    let list = read(folder.path(), Some("far://{server}/?moref={id}&x={other}")).unwrap();
    let [web, twin, gold] = &list.rows[..] else { panic!() };
    assert_eq!(web.source(), Some("far://vc.example/?moref=vm-1&x={other}"));
    assert_eq!(
        (&web.keys[..], web.bytes),
        (&["esx:esx-a", "datastore:ds 2", "datastore:ds1"].map(str::to_owned)[..], Some(1 << 30))
    );
    assert_eq!((twin.source().is_some(), twin.findings[0].code.as_str()), (true, "batch-running"));
    assert_eq!(
        (gold.source(), gold.findings[0].code.as_str()),
        (Some("far://vc.example/?moref=vm%2F3&x={other}"), "batch-template")
    );
    assert_eq!(gold.bytes, None);
    fs::write(folder.path().join("tabvInfo.csv"), INFO).unwrap();
    assert!(read(folder.path(), None).unwrap_err().message.ends_with("several CSVs of the sheet vinfo are in it"));
}

#[test]
fn columns_of_an_inventory_are_found_without_case_blanks_and_units() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vinfo.csv"), "vm,In Use MB,HOST\nweb,7,esx-a\n").unwrap();
    let list = read(folder.path(), Some("far://vc/{name}")).unwrap();
    assert_eq!((list.rows[0].source(), list.rows[0].bytes), (Some("far://vc/web"), Some(7 << 20)));
    // A template whose word the row lacks makes no source.
    assert_eq!(read(folder.path(), Some("far://vc/{id}")).unwrap().rows[0].source(), None);
    fs::write(folder.path().join("vinfo.csv"), "name\nweb\n").unwrap();
    assert!(read(folder.path(), None).unwrap_err().message.ends_with("line 1: there is no column VM"));
}
