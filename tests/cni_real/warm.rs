//! Attachments that are made before an instance asks for one: on a real machine, whatever happens to them meanwhile.

use actord::host::WarmId;

use super::*;

impl Bed {
    async fn warmed(&self) -> WarmId {
        let warm = WarmId::random();
        self.network.warm(&warm).await.unwrap();
        warm
    }

    async fn listed(&self, warm: &WarmId) -> Option<bool> {
        let all = self.network.list_warm().await.unwrap();
        all.into_iter().find(|(one, _)| one == warm).map(|(_, fit)| fit)
    }

    fn warm_result(&self, warm: &WarmId) -> PathBuf {
        self.options.state_dir.join("results").join(format!("{}-{warm}-eth0", self.options.name))
    }

    fn warm_netns(&self, warm: &WarmId) -> PathBuf {
        self.options.netns_dir.join(format!("{}.{warm}", self.options.bridge))
    }

    fn warm_link(&self, warm: &WarmId) -> String {
        let entry: Value = serde_json::from_slice(&fs::read(self.warm_result(warm)).unwrap()).unwrap();
        entry["result"]["interfaces"][1]["name"].as_str().unwrap().to_owned()
    }

    /// A start of the same settings, but for what `change` changes, after this one was killed.
    fn after_a_kill(&self, change: impl Fn(&mut CniOptions)) -> CniNetwork {
        let mut options = self.options.clone();
        change(&mut options);
        CniNetwork::new(options).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_attachment_answers_outlives_a_kill_and_leaves_nothing() {
    let bed = Bed::new();
    let (warm, id) = (bed.warmed().await, bed.id("claims"));
    let at = bed.network.claim(&warm, &id).await.unwrap();
    assert_eq!(at.netns, bed.warm_netns(&warm));
    assert_eq!(fetch(serve(&at)), "hello");
    assert!(bed.result(&id).exists() && !bed.warm_result(&warm).exists());
    let next = bed.after_a_kill(|_| {});
    assert_eq!(next.lookup(&id).await.unwrap(), at);
    assert_eq!(next.list_warm().await.unwrap(), []);
    assert_eq!(next.list().await.unwrap(), std::slice::from_ref(&id));
    next.discard(&warm).await.unwrap();
    assert_eq!(fetch(serve(&at)), "hello", "what was claimed is the instance's");
    next.detach(&id).await.unwrap();
    assert_eq!(next.list().await.unwrap(), []);
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_runs_no_plugin_and_a_detach_tells_plugins_the_name_that_they_know() {
    let bed = Bed::faulty();
    let (warm, id) = (bed.warmed().await, bed.id("claims"));
    let made = bed.calls().len();
    bed.network.claim(&warm, &id).await.unwrap();
    assert_eq!(bed.calls().len(), made);
    bed.network.lookup(&id).await.unwrap();
    bed.network.detach(&id).await.unwrap();
    let calls = bed.calls();
    assert!(calls.iter().all(|call| call["container"] == warm.as_str()), "{calls:?}");
    assert!(calls.iter().all(|call| call["netns"] == json!(bed.warm_netns(&warm))));
    assert_eq!(calls.last().unwrap()["verb"], "DEL");
    bed.finish().await;
}

/// What may have happened to one that nobody looked after.
const DAMAGE: &[(&str, &str)] = &[
    ("its namespace is gone", "umount NETNS; rm NETNS"),
    ("its link is gone", "ip link delete LINK"),
    ("its link is down", "ip link set LINK down"),
    ("its link left the bridge", "ip link set LINK nomaster"),
    ("its own end is down", "ip -n NAME link set eth0 down"),
    ("its own end is gone", "ip -n NAME link delete eth0"),
    ("its address is not leased", "rm LEASE"),
    ("its address is another's", "echo other-1 > LEASE"),
    ("its result is gone", "rm RESULT"),
    ("its result can't be read", "echo '{' > RESULT"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_bad_is_never_handed_out_and_a_discard_leaves_nothing_of_it() {
    let bed = Bed::new();
    let id = bed.id("claims");
    for (what, script) in DAMAGE {
        let warm = bed.warmed().await;
        assert_eq!(bed.listed(&warm).await, Some(true));
        let lease = fs::read_dir(bed.lease_dir()).unwrap().map(|entry| entry.unwrap().path());
        let lease =
            lease.into_iter().find(|path| fs::read_to_string(path).unwrap().starts_with(warm.as_str())).unwrap();
        let script = script
            .replace("NETNS", bed.warm_netns(&warm).to_str().unwrap())
            .replace("NAME", &format!("{}.{warm}", bed.options.bridge))
            .replace("LINK", &bed.warm_link(&warm))
            .replace("LEASE", lease.to_str().unwrap())
            .replace("RESULT", bed.warm_result(&warm).to_str().unwrap());
        assert!(Command::new("sh").args(["-ec", &script]).status().unwrap().success(), "{script}");
        let error = bed.network.claim(&warm, &id).await.unwrap_err();
        assert!(matches!(error, HostError::NotFound(_)), "{what}: {error:?}");
        assert!(!bed.network.list().await.unwrap().contains(&id), "{what}");
        assert_eq!(bed.listed(&warm).await, Some(false), "{what}");
        bed.network.discard(&warm).await.unwrap();
        assert_eq!(bed.listed(&warm).await, None, "{what}");
        if *what == "its address is another's" {
            let _ = fs::remove_file(lease);
        }
        bed.assert_no_traces().await;
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_is_kept_for_those_that_wait_and_so_are_their_ports() {
    let bed = Bed::new();
    let warm = bed.warmed().await;
    for script in ["ip link set LINK nomaster", "ip link set LINK down"] {
        let script = script.replace("LINK", &bed.warm_link(&warm));
        assert!(Command::new("sh").args(["-ec", &script]).status().unwrap().success());
        assert_eq!(bed.listed(&warm).await, Some(false));
        bed.network.keep_open().await.unwrap();
        assert_eq!(bed.listed(&warm).await, Some(true), "after {script}");
    }
    let id = bed.id("claims");
    let at = bed.network.claim(&warm, &id).await.unwrap();
    assert_eq!(fetch(serve(&at)), "hello");
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_make_what_is_warm_useless_and_all_of_it_is_removed_by_the_next_start() {
    let bed = Bed::new();
    let other_dir = bed.dir.path().join("plugins");
    fs::create_dir_all(&other_dir).unwrap();
    for plugin in ["bridge", "host-local"] {
        fs::copy(Path::new("/usr/lib/cni").join(plugin), other_dir.join(plugin)).unwrap();
    }
    let conflist =
        |options: &mut CniOptions| write_list(options, bed.dir.path(), |bridge| bridge["mtu"] = json!(1400), &[]);
    let renamed = format!("{}x", bed.options.name);
    type Change<'a> = &'a dyn Fn(&mut CniOptions);
    let changes: [(&str, Change<'_>); 3] = [
        ("the network list", &conflist),
        ("the plugins", &|options| options.plugin_dirs = vec![other_dir.clone()]),
        ("the network's name", &|options| options.name.clone_from(&renamed)),
    ];
    for (what, change) in changes {
        let warm = bed.warmed().await;
        let next = bed.after_a_kill(change);
        assert_eq!(next.list_warm().await.unwrap(), [(warm.clone(), false)], "{what}");
        let error = next.claim(&warm, &bed.id("claims")).await.unwrap_err();
        assert!(error.to_string().contains("other settings"), "{what}: {error}");
        next.discard(&warm).await.unwrap();
        assert_eq!(next.list_warm().await.unwrap(), [], "{what}");
        bed.assert_no_traces().await;
    }
    let _ = fs::remove_dir_all(bed.options.state_dir.join("ipam").join(renamed));
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_bridge_and_subnet_find_what_the_earlier_ones_left() {
    let bed = Bed::new();
    let warm = bed.warmed().await;
    bed.network.remove_bridge().unwrap();
    let bridge = format!("{}y", bed.options.bridge);
    let next = bed.after_a_kill(|options| {
        options.bridge.clone_from(&bridge);
        options.subnet = "198.18.9.0/24".parse().unwrap();
    });
    assert_eq!(next.list_warm().await.unwrap(), [(warm.clone(), false)]);
    next.discard(&warm).await.unwrap();
    assert!(!bed.warm_netns(&warm).exists());
    next.teardown_all().await.unwrap();
    bed.network.teardown_all().await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_given_back_comes_last_again_however_it_is_handed_out() {
    let bed = Bed::new();
    let mut given = Vec::new();
    // Requests for what is gone may still be on their way to its address.
    for round in 0..4 {
        let (warm, claimed, attached) =
            (bed.warmed().await, bed.id(&format!("c{round}")), bed.id(&format!("a{round}")));
        given.push(bed.network.claim(&warm, &claimed).await.unwrap().address);
        given.push(bed.network.attach(&attached).await.unwrap().address);
        bed.network.detach(&claimed).await.unwrap();
        bed.network.detach(&attached).await.unwrap();
        let discarded = bed.warmed().await;
        bed.network.discard(&discarded).await.unwrap();
    }
    let all = given.len();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), all, "{given:?}");
    bed.finish().await;
}

/// What an end between two steps of making or removing one leaves.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_half_of_a_warm_attachment_is_there_it_is_listed_and_removed() {
    let bed = Bed::new();
    type Lose<'a> = &'a dyn Fn(&WarmId);
    let lose_netns = |warm: &WarmId| {
        unmount(bed.warm_netns(warm), UnmountFlags::DETACH).unwrap();
        fs::remove_file(bed.warm_netns(warm)).unwrap();
    };
    let lose_lease = |warm: &WarmId| {
        for entry in fs::read_dir(bed.lease_dir()).unwrap() {
            let path = entry.unwrap().path();
            if fs::read_to_string(&path).unwrap().starts_with(warm.as_str()) {
                fs::remove_file(path).unwrap();
            }
        }
    };
    let lose_result = |warm: &WarmId| fs::remove_file(bed.warm_result(warm)).unwrap();
    let half_write = |warm: &WarmId| {
        let path = bed.warm_result(warm);
        let draft = path.with_file_name(format!(".{}~", path.file_name().unwrap().to_str().unwrap()));
        fs::rename(path, draft).unwrap();
    };
    let cases: [(&str, Lose<'_>); 7] = [
        ("no namespace", &lose_netns),
        ("no lease", &lose_lease),
        ("no result", &lose_result),
        ("a half-written result", &half_write),
        ("only a lease", &|warm| {
            lose_netns(warm);
            lose_result(warm);
        }),
        ("only a namespace", &|warm| {
            lose_lease(warm);
            lose_result(warm);
        }),
        ("only a result", &|warm| {
            lose_netns(warm);
            lose_lease(warm);
        }),
    ];
    for (what, lose) in cases {
        let warm = bed.warmed().await;
        lose(&warm);
        let next = bed.after_a_kill(|_| {});
        assert_eq!(next.list_warm().await.unwrap(), [(warm.clone(), false)], "{what}");
        assert_eq!(next.list().await.unwrap(), [], "{what}");
        next.discard(&warm).await.unwrap();
        assert_eq!(next.list_warm().await.unwrap(), [], "{what}");
        bed.assert_no_traces().await;
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_removes_what_waits_and_what_was_claimed() {
    let bed = Bed::new();
    for at in 0..3 {
        let warm = bed.warmed().await;
        if at == 0 {
            bed.network.claim(&warm, &bed.id("claims")).await.unwrap();
        }
    }
    bed.network.teardown_all().await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_that_fails_ahead_of_time_leaves_nothing_or_what_a_discard_removes() {
    let bed = Bed::faulty();
    let warm = WarmId::random();
    bed.fault("ADD", "error no such luck");
    let error = bed.network.warm(&warm).await.unwrap_err().to_string();
    assert!(error.contains("no such luck") && error.contains(warm.as_str()), "{error}");
    bed.assert_no_traces().await;
    bed.fault("DEL", "error nor that");
    bed.network.warm(&warm).await.unwrap_err();
    assert_eq!(bed.network.list_warm().await.unwrap(), [(warm.clone(), false)]);
    bed.fault("DEL", "pass");
    bed.network.discard(&warm).await.unwrap();
    assert_eq!(bed.network.list_warm().await.unwrap(), []);
    bed.finish().await;
}
