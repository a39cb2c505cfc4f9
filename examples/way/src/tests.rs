use super::*;

fn gentle(mib_per_second: u64) -> Gentle {
    Gentle { mib_per_second, free_at: Arc::new(Mutex::new(Instant::now())) }
}

#[test]
fn it_carries_files_when_it_has_a_pace_and_describes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.raw");
    std::fs::write(&disk, "disk").unwrap();
    let way = |scheme: &str, object: &Path| Way::new(scheme, object.to_str().unwrap(), "raw");
    assert_eq!(gentle(1).carries(&way("file", &disk)).unwrap(), 2);
    assert_eq!(gentle(0).carries(&way("file", &disk)).unwrap(), 0);
    assert_eq!(gentle(1).carries(&way("file", folder.path())).unwrap(), 0);
    assert_eq!(gentle(1).carries(&way("other", &disk)).unwrap(), 0);
    assert_eq!(gentle(1).accepts(&SourceRef::new(disk.to_str().unwrap())).unwrap(), 0);
}

#[test]
fn no_name_leads_away_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("parent.vmdk"), "").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
    let beside = Beside { folder: folder.path().to_owned(), pace: gentle(1) };
    assert!(beside.resolve("", "parent.vmdk").unwrap().ends_with("/parent.vmdk"));
    for name in ["/etc/passwd", "../x", "link", "absent", ""] {
        let error = beside.resolve("", name).unwrap_err();
        assert_eq!(error.message, format!("the name {name:?} is refused: no such file beside the disk"));
    }
}
