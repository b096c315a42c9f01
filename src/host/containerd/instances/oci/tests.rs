use serde_json::{Value, json};

use super::super::reserved::SECRETS;
use super::*;
use crate::function::{Resources, SpecDraft};

fn image(config: &Value) -> ImageConfiguration {
    let document = json!({
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": { "type": "layers", "diff_ids": [] }, "history": [],
    });
    serde_json::from_value(document).unwrap()
}

fn made(config: &Value, draft: SpecDraft) -> Result<Value, HostError> {
    made_with(config, draft, &[])
}

fn made_with(config: &Value, draft: SpecDraft, capabilities: &[&str]) -> Result<Value, HostError> {
    made_on(None, None, config, draft, capabilities)
}

fn made_on(
    memory_limit: Option<u64>,
    ids: Option<IdMapping>,
    config: &Value,
    draft: SpecDraft,
    capabilities: &[&str],
) -> Result<Value, HostError> {
    // As an older program may have accepted it, with quantities that are refused today: the bounds here hold for it.
    let spec = Spec::accepted_before(SpecDraft { image: "i".into(), ..draft });
    let places = Places {
        netns: Path::new("/run/netns/f-1"),
        resolv_conf: Path::new("/s/f-1/resolv.conf"),
        hosts: Path::new("/s/f-1/hosts"),
        secrets: (!spec.secrets.is_empty()).then_some(Path::new("/s/f-1/secrets")),
        sys: ids.map(|_| Path::new("/s/f-1/sys")),
        cgroup: "/actord/f-1",
        shard: Some(3),
    };
    let machine = Machine { open_files: 20_000, swap_limit: true, pids_limit: 4_096, memory_limit };
    let identity = Identity { uid: 100, gid: 101, groups: vec![7] };
    let image = image(config);
    let volume = |at: &str, empty| Volume { at: at.into(), uid: 7, gid: 8, mode: 0o1750, empty };
    let volumes = [volume("/data", false), volume("/data/inner", true), volume("/etc", true)];
    let (identity, volumes) = (&identity, &volumes);
    let capabilities = &capabilities.iter().map(|name| name.parse().unwrap()).collect();
    let (image, spec, hostname, masked) = (&image, &spec, "f", &["/proc/kcore".to_owned()][..]);
    let instance = Instance { image, spec, hostname, identity, ids, volumes, capabilities, places, machine, masked };
    instance.runtime_spec().map(|made| serde_json::to_value(made).unwrap())
}

#[test]
fn arguments_are_the_entrypoint_followed_by_the_command() {
    let made = |config: &Value| made(config, SpecDraft::default()).unwrap()["process"]["args"].clone();
    assert_eq!(made(&json!({ "Entrypoint": ["/e", "x"], "Cmd": ["y"] })), json!(["/e", "x", "y"]));
    assert_eq!(made(&json!({ "Cmd": ["/c"] })), json!(["/c"]));
    assert_eq!(made(&json!({ "Entrypoint": [""], "Cmd": ["/c"] })), json!(["/c"]));
}

#[test]
fn an_image_without_a_command_is_the_callers_to_mend() {
    for config in [json!({}), json!({ "Entrypoint": [], "Cmd": [""] })] {
        let error = made(&config, SpecDraft::default()).unwrap_err();
        assert!(matches!(&error, HostError::Spec(reason) if reason.contains("no entrypoint")), "{error:?}");
    }
}

#[test]
fn the_functions_environment_overrides_the_images_and_the_default_path_gives_way() {
    let draft = SpecDraft {
        env_process: "cat".into(),
        env_vars: [("A".to_owned(), "own=1".to_owned()), ("Z".to_owned(), String::new())].into(),
        ..SpecDraft::default()
    };
    let made =
        made(&json!({ "Cmd": ["/c"], "Env": ["PATH=/p", "A=image", "B=image", "fprocess=image"] }), draft).unwrap();
    assert_eq!(made["process"]["env"], json!(["PATH=/p", "A=own=1", "B=image", "fprocess=cat", "Z="]));
}

fn resources(draft: SpecDraft) -> Value {
    made(&json!({ "Cmd": ["/c"] }), draft).unwrap()["linux"]["resources"].clone()
}

fn of(memory: Option<&str>, cpu: Option<&str>) -> Option<Resources> {
    Some(Resources { memory: memory.map(str::to_owned), cpu: cpu.map(str::to_owned), ..Resources::default() })
}

#[test]
fn limits_become_bytes_without_swap_and_a_cpu_quota() {
    let resources = resources(SpecDraft { limits: of(Some("128Mi"), Some("250m")), ..SpecDraft::default() });
    assert_eq!(resources["memory"], json!({ "limit": 134_217_728, "swap": 134_217_728 }));
    assert_eq!(resources["cpu"], json!({ "period": 100_000, "quota": 25_000 }));
    assert_eq!(resources["pids"]["limit"], 4_096);
    assert_eq!(resources["devices"][0]["allow"], false);
}

#[test]
fn a_tiny_cpu_limit_is_the_least_that_the_kernel_takes() {
    let resources = resources(SpecDraft { limits: of(None, Some("1m")), ..SpecDraft::default() });
    assert_eq!(resources["cpu"]["quota"], 1_000);
    assert_eq!(resources.get("memory"), None);
}

#[test]
fn a_function_that_sets_no_limit_of_memory_has_the_machines_and_keeps_its_swap() {
    let of_memory = |memory: Option<&str>| {
        let draft = SpecDraft { limits: memory.and_then(|memory| of(Some(memory), None)), ..SpecDraft::default() };
        made_on(Some(1 << 30), None, &json!({ "Cmd": ["/c"] }), draft, &[]).unwrap()["linux"]["resources"]["memory"]
            .clone()
    };
    assert_eq!(of_memory(None), json!({ "limit": 1 << 30 }));
    assert_eq!(of_memory(Some("2Gi")), json!({ "limit": 2_u64 << 30, "swap": 2_u64 << 30 }));
}

#[test]
fn requests_become_a_share_of_the_cpu_and_memory_that_is_taken_away_last() {
    let asked = resources(SpecDraft { requests: of(Some("64Mi"), Some("250m")), ..SpecDraft::default() });
    assert_eq!(asked["memory"], json!({ "reservation": 67_108_864 }));
    assert_eq!(asked["cpu"], json!({ "shares": 256 }));
    for (cpu, shares) in [("1m", 2), ("1", 1_024), ("1000", 262_144)] {
        let asked = resources(SpecDraft { requests: of(None, Some(cpu)), ..SpecDraft::default() });
        assert_eq!(asked["cpu"], json!({ "shares": shares }), "{cpu}");
    }
    let both =
        SpecDraft { requests: of(Some("2Gi"), None), limits: of(Some("1Gi"), Some("2")), ..SpecDraft::default() };
    let both = resources(both);
    let limit = 1 << 30;
    assert_eq!(
        both["memory"],
        json!({ "limit": limit, "swap": limit, "reservation": limit }),
        "no more than the limit"
    );
    assert_eq!(both["cpu"], json!({ "period": 100_000, "quota": 200_000 }));
}

#[test]
fn a_function_may_say_how_many_processes_it_needs() {
    let annotations = [("com.openfaas.pids.limit".to_owned(), "100".to_owned())].into();
    let resources = resources(SpecDraft { annotations, ..SpecDraft::default() });
    assert_eq!(resources["pids"]["limit"], 100);
}

#[test]
fn the_process_is_confined_whatever_the_function_asks_for() {
    let made = made(&json!({ "Cmd": ["/c"], "WorkingDir": "app" }), SpecDraft::default()).unwrap();
    let process = &made["process"];
    assert_eq!(process["noNewPrivileges"], true);
    assert_eq!(process["cwd"], "/app");
    assert_eq!(process["user"], json!({ "uid": 100, "gid": 101, "additionalGids": [7] }));
    let limit = |name: &str, value: u64| json!({ "type": name, "hard": value, "soft": value });
    assert_eq!(process["rlimits"], json!([limit("RLIMIT_CORE", 0), limit("RLIMIT_NOFILE", 20_000)]));
    for set in SETS {
        assert_eq!(process["capabilities"][set], json!([]), "{set}");
    }
    let linux = &made["linux"];
    assert!(linux["maskedPaths"].as_array().unwrap().contains(&json!("/proc/kcore")));
    assert!(linux["readonlyPaths"].as_array().unwrap().contains(&json!("/proc/sys")));
    assert_eq!(linux["cgroupsPath"], "/actord/f-1");
    assert_eq!(linux["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
}

const SETS: [&str; 5] = ["bounding", "effective", "permitted", "inheritable", "ambient"];

#[test]
fn what_is_granted_is_in_every_set_so_that_any_user_has_it_and_every_capability_of_ours_is_one_of_the_runtimes() {
    let made = made_with(&json!({ "Cmd": ["/c"] }), SpecDraft::default(), &["NET_RAW"]).unwrap();
    for set in SETS {
        assert_eq!(made["process"]["capabilities"][set], json!(["CAP_NET_RAW"]), "{set}");
    }
    let header = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
        NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE \
        SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL \
        SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";
    let all: Vec<_> = header.split(' ').collect();
    let made = made_with(&json!({ "Cmd": ["/c"] }), SpecDraft::default(), &all).unwrap();
    assert_eq!(made["process"]["capabilities"]["bounding"].as_array().map(Vec::len), Some(41));
}

#[test]
fn every_namespace_is_the_instances_own_and_the_network_is_the_given_one() {
    let made = made(&json!({ "Cmd": ["/c"] }), SpecDraft::default()).unwrap();
    let namespaces = made["linux"]["namespaces"].as_array().unwrap();
    assert!(namespaces.contains(&json!({ "type": "network", "path": "/run/netns/f-1" })));
    for kind in ["pid", "ipc", "uts", "mount", "cgroup"] {
        assert!(namespaces.contains(&json!({ "type": kind })), "{kind}: {namespaces:?}");
    }
    assert_eq!(made["hostname"], "f");
}

#[test]
fn secrets_are_one_read_only_directory_and_absent_without_secrets() {
    let mounts = |draft| made(&json!({ "Cmd": ["/c"] }), draft).unwrap()["mounts"].as_array().unwrap().clone();
    let at = |mounts: &[Value], path: &str| mounts.iter().find(|mount| mount["destination"] == path).cloned();
    let with = mounts(SpecDraft { secrets: vec!["db".parse().unwrap()], ..SpecDraft::default() });
    let secrets = at(&with, SECRETS).unwrap();
    assert_eq!(secrets["source"], "/s/f-1/secrets");
    assert!(secrets["options"].as_array().unwrap().contains(&json!("ro")));
    let without = mounts(SpecDraft::default());
    assert!(at(&without, SECRETS).is_none());
    assert!(at(&without, "/etc/resolv.conf").unwrap()["options"].as_array().unwrap().contains(&json!("ro")));
}

#[test]
fn the_root_is_read_only_when_asked_for_and_then_there_is_another_place_to_write() {
    for (asked, memory, options) in [
        (true, None, Some(json!(["mode=1777", "nosuid", "nodev"]))),
        (true, Some("32Mi"), Some(json!(["mode=1777", "nosuid", "nodev", "size=16777216"]))),
        (false, Some("32Mi"), None),
    ] {
        let draft = SpecDraft { read_only_root_filesystem: asked, limits: of(memory, None), ..SpecDraft::default() };
        let made = made(&json!({ "Cmd": ["/c"] }), draft).unwrap();
        assert_eq!(made["root"], json!({ "path": "rootfs", "readonly": asked }));
        let scratch = made["mounts"].as_array().unwrap().iter().find(|mount| mount["destination"] == "/tmp");
        assert_eq!(scratch.map(|mount| mount["options"].clone()), options);
    }
}

#[test]
fn volumes_are_in_memory_where_the_root_is_read_only_each_on_top_of_the_one_that_it_lies_in() {
    let draft = |read_only_root_filesystem| SpecDraft {
        read_only_root_filesystem,
        limits: of(Some("32Mi"), None),
        ..SpecDraft::default()
    };
    let mounts =
        |read_only| made(&json!({ "Cmd": ["/c"] }), draft(read_only)).unwrap()["mounts"].as_array().unwrap().clone();
    let read_only = mounts(true);
    let order: Vec<_> = read_only.iter().filter_map(|mount| mount["destination"].as_str()).collect();
    assert_eq!(order[7..], ["/tmp", "/data", "/data/inner", "/etc", "/etc/resolv.conf", "/etc/hosts"]);
    let options = |at: usize| read_only[at]["options"].clone();
    let usual = ["mode=1750", "uid=7", "gid=8", "nosuid", "nodev", "size=16777216"];
    assert_eq!(options(9), json!(usual), "nothing to be copied");
    assert!(options(8).as_array().unwrap().contains(&json!("tmpcopyup")));
    let at = |path: &str| mounts(false).iter().any(|mount| mount["destination"] == path);
    assert!(at("/etc/hosts") && !at("/data"), "a part of the snapshot");
}

#[test]
fn an_instance_that_shares_its_shim_says_which() {
    let made = made(&json!({ "Cmd": ["/c"] }), SpecDraft::default()).unwrap();
    assert_eq!(made["annotations"], json!({ "io.containerd.runc.v2.group": "shard-3" }));
}

#[test]
fn a_user_namespace_has_its_mapping_and_is_given_what_can_not_be_made_in_it() {
    let config = json!({ "Cmd": ["/c"] });
    let made = |ids: Option<&str>| {
        let ids = ids.map(|ids| ids.parse().unwrap());
        made_on(None, ids, &config, SpecDraft::default(), &[]).unwrap()
    };
    let (with, without) = (made(Some("100000:65536")), made(None));
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    assert_eq!((&with["linux"]["uidMappings"], &with["linux"]["gidMappings"]), (&mapping, &mapping));
    assert_eq!((&without["linux"]["uidMappings"], &without["linux"]["gidMappings"]), (&Value::Null, &Value::Null));
    let own = |made: &Value| made["linux"]["namespaces"].as_array().unwrap().contains(&json!({ "type": "user" }));
    assert!(own(&with) && !own(&without));
    let sys = |made: &Value| {
        let mounts = made["mounts"].as_array().unwrap();
        let at = mounts.iter().position(|mount| mount["destination"] == "/sys").unwrap();
        assert_eq!(mounts[at + 1]["destination"], "/sys/fs/cgroup", "on top of it");
        mounts[at].clone()
    };
    assert_eq!((&sys(&with)["type"], &sys(&with)["source"]), (&json!("bind"), &json!("/s/f-1/sys")));
    assert!(sys(&with)["options"].as_array().unwrap().contains(&json!("ro")));
    assert_eq!(sys(&without)["type"], "sysfs");
    assert_eq!(with["linux"]["sysctl"], Value::Null, "they are set before");
    assert_eq!(without["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "0");
}
