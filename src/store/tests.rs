//! What happens to a store that is old, damaged or gone.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::function::NamespaceMetadata;
use crate::function::{
    Adjusted, Generation, GoodGeneration, History, Namespace, RefusedUpdate, Resources, Spec, SpecDraft,
};

fn desired(generation: u64) -> Desired {
    let draft = SpecDraft { image: format!("image:{generation}"), ..SpecDraft::default() };
    Desired {
        generation: Generation(generation),
        spec: Arc::new(Spec::try_from(draft).unwrap()),
        replicas: 1,
        kept_down: false,
        idle: false,
        adjusted: None,
        accepted_at: String::new(),
        history: History::default(),
        has_served: true,
        failed: None,
        created_at: "2026-01-02T03:04:05Z".into(),
        refused: None,
    }
}

fn id(n: usize) -> FunctionId {
    format!("f{n}").parse().unwrap()
}

struct Home {
    dir: tempfile::TempDir,
    store: PathBuf,
}

impl Home {
    /// A store with `count` functions that was closed, so that its copy has them all.
    async fn with(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Self { store: dir.path().join("actord.db"), dir };
        let store = Store::open(&home.store).unwrap();
        for n in 0..count {
            store.put(&id(n), &desired(1)).await.unwrap();
        }
        home
    }

    /// What was moved aside; the file and its log count as one.
    fn remains(&self) -> BTreeSet<String> {
        let names =
            fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let damaged = names.filter(|name| name.contains(".damaged-"));
        damaged.map(|name| name.trim_end_matches("-wal").trim_end_matches("-shm").to_owned()).collect()
    }

    fn good(&self) -> PathBuf {
        files::good(&self.store)
    }

    /// Changes bytes of the file wherever `old` stands.
    fn scribble(&self, old: &str, new: &str) {
        let file = fs::OpenOptions::new().read(true).write(true).open(&self.store).unwrap();
        let bytes = fs::read(&self.store).unwrap();
        let at = bytes.windows(old.len()).position(|part| part == old.as_bytes()).unwrap();
        file.write_all_at(new.as_bytes(), at as u64).unwrap();
    }
}

async fn generations(store: &Store) -> Vec<(String, u64)> {
    store.all().await.unwrap().into_iter().map(|(id, desired)| (id.name.to_string(), desired.generation.0)).collect()
}

#[tokio::test]
async fn what_was_put_is_read_back_after_the_store_is_opened_again() {
    let home = Home::with(0).await;
    let spec = |image: &str| {
        let env_vars = [("a".to_owned(), "b=c".to_owned())].into();
        Arc::new(Spec::try_from(SpecDraft { image: image.into(), env_vars, ..SpecDraft::default() }).unwrap())
    };
    let good = |(image, at): (&str, &str)| GoodGeneration {
        generation: Generation(1),
        spec: spec(image),
        accepted_at: at.to_owned(),
    };
    let put = Desired {
        generation: Generation(2),
        spec: spec("i:2"),
        replicas: 3,
        kept_down: true,
        idle: true,
        adjusted: Some(Adjusted { replicas: 7, reason: "12 requests in flight".into() }),
        accepted_at: "2026-01-03T03:04:05Z".into(),
        history: [("i:1", "2026-01-02T03:04:05Z"), ("i:0", "")].map(good).into_iter().collect(),
        has_served: false,
        failed: Some("pull failed".into()),
        created_at: "2026-01-02T03:04:05.000000006Z".into(),
        refused: Some(Arc::new(RefusedUpdate {
            generation: Generation(3),
            image: "i:3".into(),
            reason: "it is \"not\" there".into(),
            at: "2026-01-02T03:05:00Z".into(),
        })),
    };
    Store::open(&home.store).unwrap().put(&id(1), &put).await.unwrap();
    let store = Store::open(&home.store).unwrap();
    assert_eq!(store.get(&id(1)).await.unwrap(), Some(put.clone()));
    assert_eq!(store.all().await.unwrap(), [(id(1), put)]);
    store.delete(&id(1)).await.unwrap();
    store.delete(&id(1)).await.unwrap();
    assert_eq!(store.get(&id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_full_store_says_so_and_keeps_what_it_had() {
    let store = Store::in_memory().unwrap();
    store.put(&id(1), &desired(1)).await.unwrap();
    store.limit_pages(1).await.unwrap();
    let env_vars = (0..16).map(|n| (format!("V{n}"), "x".repeat(1 << 16))).collect();
    let big = SpecDraft { image: "i".into(), env_vars, ..SpecDraft::default() };
    let next = Desired { spec: Arc::new(big.try_into().unwrap()), ..desired(2) };
    let refused = store.put(&id(1), &next).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    assert_eq!(store.get(&id(1)).await.unwrap(), Some(desired(1)));
}

#[tokio::test]
async fn closing_leaves_one_file_and_its_copy_that_only_the_owner_can_read() {
    let home = Home::with(3).await;
    let mut names: Vec<_> = fs::read_dir(home.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["actord.db", "actord.db.good"]);
    for path in [&home.store, &home.good()] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    assert_eq!(Store::read(&home.good()).unwrap(), Store::read(&home.store).unwrap());
}

#[tokio::test]
async fn a_commit_is_in_the_copy_soon_and_without_anybody_closing_the_store() {
    let home = Home::with(1).await;
    let store = Store::open(&home.store).unwrap();
    store.put(&id(7), &desired(9)).await.unwrap();
    let has_it = || Store::read(&home.good()).unwrap().iter().any(|(found, _)| *found == id(7));
    assert!(!has_it(), "the commit waited for the copy");
    tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while !has_it() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(files::beside(&home.store, "-wal").metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_its_copy_takes_over() {
    type Damage = fn(&Home);
    let damages: [(&str, Damage); 5] = [
        ("a page of noise", |home| {
            let file = fs::OpenOptions::new().write(true).open(&home.store).unwrap();
            file.write_all_at(&[0xa5; 4096], 4096).unwrap();
        }),
        ("no SQLite file", |home| fs::write(&home.store, "something else ".repeat(1000)).unwrap()),
        ("cut short", |home| {
            fs::OpenOptions::new().write(true).open(&home.store).unwrap().set_len(4096).unwrap();
        }),
        ("empty", |home| fs::write(&home.store, "").unwrap()),
        ("gone, but for a stale log", |home| {
            fs::rename(&home.store, files::beside(&home.store, "-wal")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let home = Home::with(40).await;
        damage(&home);
        let store = Store::open(&home.store).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(store.all().await.unwrap().len(), 40, "{name}");
        assert_eq!(home.remains().len(), 1, "{name}: {:?}", home.remains());
        store.put(&id(99), &desired(1)).await.unwrap();
        drop(store);
        assert_eq!(Store::read(&home.good()).unwrap().len(), 41, "{name}");
    }
}

#[tokio::test]
async fn one_damaged_record_comes_from_the_copy_and_the_others_stay_as_they_are() {
    let home = Home::with(3).await;
    let copy = fs::read(home.good()).unwrap();
    let store = Store::open(&home.store).unwrap();
    store.put(&id(1), &desired(5)).await.unwrap();
    drop(store);
    fs::write(home.good(), copy).unwrap();
    // Still JSON, and a page that SQLite finds nothing wrong with.
    home.scribble("image:5", "imagf:5");
    let store = Store::open(&home.store).unwrap();
    let expected = [("f0", 1), ("f1", 1), ("f2", 1)].map(|(name, generation)| (name.to_owned(), generation));
    assert_eq!(generations(&store).await, expected);
    assert_eq!(home.remains().len(), 1);
}

#[tokio::test]
async fn a_damaged_record_that_no_copy_has_is_dropped_alone() {
    let home = Home::with(2).await;
    let copy = fs::read(home.good()).unwrap();
    let store = Store::open(&home.store).unwrap();
    store.put(&id(2), &desired(5)).await.unwrap();
    drop(store);
    fs::write(home.good(), copy).unwrap();
    home.scribble("image:5", "\u{0}\u{1}age:5");
    assert_eq!(Store::open(&home.store).unwrap().all().await.unwrap().len(), 2);
    assert_eq!(home.remains().len(), 1);
}

#[tokio::test]
async fn damage_without_a_good_copy_is_refused_and_nothing_is_touched() {
    let home = Home::with(1).await;
    fs::write(&home.store, "noise ".repeat(1000)).unwrap();
    fs::write(home.good(), "noise too").unwrap();
    let refused = Store::open(&home.store).unwrap_err().to_string();
    assert!(refused.contains("actord.db.good") && refused.contains("put a backup of it there"), "{refused}");
    assert!(fs::read_to_string(&home.store).unwrap().starts_with("noise noise"));
    assert_eq!(fs::read_to_string(home.good()).unwrap(), "noise too");
    assert!(home.remains().is_empty());
}

#[tokio::test]
async fn a_damaged_store_never_becomes_the_copy() {
    let home = Home::with(3).await;
    let store = Store::open(&home.store).unwrap();
    store.put(&id(1), &desired(5)).await.unwrap();
    store.refresh_copy().await.unwrap();
    let before = fs::read(home.good()).unwrap();
    {
        let db = store.0.connection.lock().unwrap();
        db.execute("UPDATE functions SET spec = 'no JSON' WHERE name = 'f1'", []).unwrap();
        store.0.backup.as_ref().unwrap().changed();
    }
    let refused = store.refresh_copy().await.unwrap_err();
    assert!(refused.to_string().contains("f1.openfaas-fn"), "{refused}");
    assert_eq!(fs::read(home.good()).unwrap(), before);
}

#[tokio::test]
async fn a_store_of_an_older_program_is_kept_beside_the_migrated_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("actord.db");
    schema::tests::make_version_1(&path);
    assert!(matches!(Store::read(&path), Err(StoreError::Older { found: 1, .. })));
    let store = Store::open(&path).unwrap();
    assert_eq!(generations(&store).await, [("f".to_owned(), 3)]);
    let before = check::reader(&files::beside(&path, ".v1")).unwrap();
    assert_eq!(schema::version(&before).unwrap(), 1);
    let image: String = before.query_row("SELECT spec FROM functions", [], |row| row.get(0)).unwrap();
    assert_eq!(image, r#"{"image": "i"}"#);
}

#[tokio::test]
async fn what_was_accepted_under_fewer_rules_is_neither_damage_nor_dropped() {
    let home = Home::with(1).await;
    for (key, value) in [("com.openfaas.scale.min", "many"), ("com.openfaas.scale.max", "0"), ("actord.spare", "x")] {
        let [labels, annotations] = [(); 2].map(|()| [(key.to_owned(), value.to_owned())].into());
        let draft = SpecDraft { image: "i".into(), labels, annotations, ..SpecDraft::default() };
        assert!(Spec::try_from(draft.clone()).is_err());
        let spec = Arc::new(Spec::accepted_before(draft));
        let good =
            |number| GoodGeneration { generation: Generation(number), spec: spec.clone(), accepted_at: String::new() };
        let old = Desired { history: [3, 2].map(good).into_iter().collect(), spec: spec.clone(), ..desired(4) };
        Store::open(&home.store).unwrap().put(&id(1), &old).await.unwrap();
        assert_eq!(Store::open(&home.store).unwrap().get(&id(1)).await.unwrap(), Some(old));
    }
    assert!(home.remains().is_empty());
}

#[tokio::test]
async fn limits_are_kept_with_those_of_vendors_and_read_from_records_that_knew_none() {
    let resources = |quantities: &[(&str, &str)]| {
        Resources::of(quantities.iter().map(|(name, quantity)| ((*name).into(), (*quantity).into())).collect())
    };
    let of = |limits: Option<Resources>, requests: Option<Resources>| {
        let draft = SpecDraft { image: "i".into(), limits, requests, ..SpecDraft::default() };
        Desired { spec: Arc::new(draft.try_into().unwrap()), ..desired(1) }
    };
    let home = Home::with(0).await;
    let put = of(resources(&[("memory", "1Gi"), ("nvidia.com/gpu", "1")]), resources(&[("amd.com/gpu", "01")]));
    let before = of(resources(&[("memory", "64Mi"), ("cpu", "0.50")]), None);
    let store = Store::open(&home.store).unwrap();
    store.put(&id(1), &put).await.unwrap();
    store.put(&id(2), &before).await.unwrap();
    drop(store);

    let db = Connection::open(&home.store).unwrap();
    let text: String = db.query_row("SELECT spec FROM functions WHERE name = 'f2'", [], |row| row.get(0)).unwrap();
    // Byte for byte what was written before those of vendors were kept.
    assert!(text.contains(r#""limits":{"memory":"64Mi","cpu":"0.50"},"requests":null"#), "{text}");
    drop(db);
    assert_eq!(Store::open(&home.store).unwrap().all().await.unwrap(), [(id(1), put), (id(2), before)]);
    assert!(home.remains().is_empty());
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_left_alone() {
    let home = Home::with(1).await;
    Connection::open(&home.store).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = fs::read(&home.store).unwrap();
    assert!(matches!(Store::open(&home.store), Err(StoreError::Newer { found: 999, .. })));
    assert_eq!(fs::read(&home.store).unwrap(), before);
    assert!(home.remains().is_empty());
}

#[tokio::test]
async fn of_many_records_all_are_written_or_none() {
    let store = Store::in_memory().unwrap();
    let too_many = Desired { generation: Generation(u64::MAX), ..desired(1) };
    assert!(store.put_all(&[(id(0), desired(1)), (id(1), too_many)]).await.is_err());
    assert!(store.all().await.unwrap().is_empty());
    store.limit_pages(20).await.unwrap();
    let many: Vec<_> = (0..2000).map(|n| (id(n), desired(1))).collect();
    assert!(matches!(store.put_all(&many).await, Err(StoreError::Full(_))));
    assert!(store.all().await.unwrap().is_empty());
    store.put_all(&many[..3]).await.unwrap();
    assert_eq!(store.all().await.unwrap().len(), 3);
}

#[tokio::test]
async fn namespaces_are_there_after_the_store_is_opened_again() {
    let home = Home::with(0).await;
    let metadata = NamespaceMetadata {
        annotations: [("a".to_owned(), "b".to_owned())].into(),
        ..NamespaceMetadata::of_functions()
    };
    let open = || Namespaces::new(Store::open(&home.store).unwrap(), Secrets::new(home.dir.path().join("secrets")));
    let (dev, old) = ("dev".parse().unwrap(), "old".parse().unwrap());
    let namespaces = open();
    namespaces.create(&old, NamespaceMetadata::of_functions()).await.unwrap();
    namespaces.create(&dev, NamespaceMetadata::of_functions()).await.unwrap();
    namespaces.update(&dev, metadata.clone()).await.unwrap();
    namespaces.delete(&old).await.unwrap();
    drop(namespaces);
    let namespaces = open();
    assert_eq!(namespaces.all(), [Namespace::default(), dev.clone()]);
    assert_eq!((namespaces.metadata(&dev), namespaces.metadata(&old)), (Some(metadata), None));
}

#[tokio::test]
async fn a_new_function_is_refused_where_there_is_no_namespace_and_an_old_one_never() {
    let home = Home::with(0).await;
    let id: FunctionId = "f.dev".parse().unwrap();
    let store = Store::open(&home.store).unwrap();
    assert_eq!(store.put(&id, &desired(1)).await, Err(StoreError::NoNamespace(id.namespace.clone())));
    assert_eq!(store.get(&id).await.unwrap(), None);
    // As an import brings it.
    store.put_all(&[(id.clone(), desired(1))]).await.unwrap();
    store.put(&id, &desired(2)).await.unwrap();
    drop(store);
    let store = Store::open(&home.store).unwrap();
    assert!(store.has_namespace(&id.namespace), "it is made for those that live in it");
    store.put(&"g.dev".parse().unwrap(), &desired(1)).await.unwrap();
}

#[tokio::test]
async fn a_namespace_whose_row_can_not_be_read_keeps_its_name_or_is_left_out() {
    let home = Home::with(0).await;
    Store::open(&home.store).unwrap();
    let rows = "INSERT INTO namespaces VALUES ('dev', 'no JSON'), ('No Name', '{}')";
    Connection::open(&home.store).unwrap().execute_batch(rows).unwrap();
    let store = Store::open(&home.store).unwrap();
    let dev = "dev".parse().unwrap();
    assert_eq!(store.namespaces(), [Namespace::default(), "dev".parse().unwrap()]);
    assert_eq!(store.namespace(&dev), Some(NamespaceMetadata::of_functions()));
}

/// A file system in memory with a little room, for a test that runs as root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new("size=256k").unwrap();
        rustix::mount::mount("none", at.path(), "tmpfs", rustix::mount::MountFlags::empty(), options.as_c_str())
            .unwrap();
        Self(at)
    }

    fn fill(&self) {
        let mut rest = fs::File::create(self.0.path().join("rest")).unwrap();
        for size in [4096, 1] {
            while std::io::Write::write_all(&mut rest, &vec![0; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_is_called_full_when_the_store_is_opened() {
    for existed in [true, false] {
        let disk = SmallDisk::new();
        let path = disk.0.path().join("actord.db");
        if existed {
            drop(Store::open(&path).unwrap());
        }
        disk.fill();
        match Store::open(&path) {
            Err(StoreError::Full(reason)) => assert!(!reason.is_empty()),
            Err(other) => panic!("existed {existed}: {other:?}"),
            Ok(_) => panic!("opened on a full disk, existed {existed}"),
        }
    }
}

#[tokio::test]
async fn invocation_counts_are_kept_with_their_functions_and_go_with_them() {
    let home = Home::with(3).await;
    let sorted = |mut counts: Vec<(FunctionId, u64)>| {
        counts.sort();
        counts
    };
    {
        let store = Store::open(&home.store).unwrap();
        store.keep_invocations(vec![(id(0), 5), (id(1), 7), (id(9), 3)]).await.unwrap();
        store.keep_invocations(vec![(id(1), 8)]).await.unwrap();
    }
    let store = Store::open(&home.store).unwrap();
    let counts = sorted(store.invocations().await.unwrap());
    assert_eq!(counts, [(id(0), 5), (id(1), 8)], "a function that nobody deployed has no count");
    store.put(&id(0), &desired(2)).await.unwrap();
    store.delete(&id(1)).await.unwrap();
    store.put(&id(1), &desired(1)).await.unwrap();
    assert_eq!(store.invocations().await.unwrap(), [(id(0), 5)]);
}

#[tokio::test]
async fn whether_changes_can_be_written_is_known_from_the_last_and_tried_again_only_after_one_that_could_not() {
    let store = Store::in_memory().unwrap();
    assert_eq!(store.writable().await, Ok(()));
    store.refuse_writes(true).await.unwrap();
    assert_eq!(store.writable().await, Ok(()), "nothing is written in order to know");
    assert!(store.delete(&id(1)).await.is_err());
    assert!(store.writable().await.is_err());
    store.refuse_writes(false).await.unwrap();
    assert_eq!(store.writable().await, Ok(()), "it is tried");
    let before = store.put(&"f.nowhere".parse().unwrap(), &desired(1)).await;
    assert!(matches!(before, Err(StoreError::NoNamespace(_))));
    assert_eq!(store.writable().await, Ok(()), "a caller's mistake says nothing of the disk");
}
