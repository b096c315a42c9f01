//! What a process finds in its container: its own state, its file tree, its devices, what it may do.

use serde_json::{Value, json};

use super::bundle::Bundle;
use super::runtimes::{by_runc, by_us, with_zygote};

/// Looks at everything that a runtime decides about.
const LOOK: &str = r#"
section() { echo "== $1"; }
section environment; tr '\0' '\n' </proc/self/environ; pwd; umask
section identity; while read -r a; do case "$a" in Uid:*|Gid:*|Groups:*|Cap*|NoNewPrivs:*|Seccomp*|Sig[BIC]*|Umask:*|NS*) echo "$a";; esac; done </proc/self/status
section limits; cat /proc/self/limits; cat /proc/self/oom_score_adj
section process; cut -d' ' -f1,2,4-8 /proc/1/stat; cat /proc/1/sessionid 2>&1; tr '\0' ' ' </proc/1/cmdline
section groups; cat /proc/self/cgroup; for f in pids/pids.max memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes \
  cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us devices/devices.list; do echo $f; grep -v 10:200 /sys/fs/cgroup/$f | sort; done
section mounts; cut -d' ' -f5,6 /proc/self/mountinfo; sed 's/.* - //' /proc/self/mountinfo | cut -d' ' -f1,2
section devices; ls -lan /dev /dev/shm /dev/pts | sed -E 's/ [A-Z][a-z]{2} +[0-9]+ [0-9:]+ / /; s/^(total|d).*[0-9] \.\.?$//'
section names; cat /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range
section descriptors; ls -n /proc/1/fd >/dev/shm/x; sed -E 's/.* ([0-9]+) -> (pipe|[^:]*).*/\1 \2/; s/^total.*//' /dev/shm/x
section streams; stat -L -c '%u %g %a %F' /proc/self/fd/0 /proc/self/fd/1; echo named >/dev/stdout && echo named >/dev/stderr
section masked; ls /proc/acpi /sys/firmware 2>&1 | sort; cat /proc/keys /proc/timer_list /proc/interrupts /proc/kcore 2>&1 | head -c 300
section written; for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/x /etc/hosts /usr/x /proc/irq/x /sys/fs/cgroup/pids/pids.max \
  /new /tmp/new /dev/new /srv/volume/new; do (echo h >$f) 2>/dev/null && echo "$f yes" || echo "$f no"; done
section files; ls -lanR /srv | sed -E 's/ [A-Z][a-z]{2} +[0-9]+ [0-9:]+ / /'; cat /srv/volume/below/file
section refused; for c in 'mount -t tmpfs x /srv' 'unshare -U true' 'unshare -n true' 'mknod /tmp/d b 8 0' 'hostname other' 'chroot / true' \
  'nice -n -5 true' 'setpriv --list-caps' 'ping -c1 -W1 127.0.0.1' 'kill -0 1' 'dmesg'; do $c >/dev/null 2>&1; echo "$c: $?"; done
section calls; perl -e 'for my $n (0..460) { next if grep {$_==$n} (0,1,3,15,34,35,56,57,58,60,61,112,130,231,435); $!=0; my $r = syscall($n, -1, -1, -1, -1, -1, -1); print "$n ", ($r == -1 ? $!+0 : "ok"), "\n" if $! == 1 || $! == 38 }' 2>&1
"#;

fn found(change: impl Fn(&mut Value)) -> [String; 2] {
    let bundle = Bundle::new();
    let command = ["/bin/sh", "-c", LOOK];
    let theirs = by_runc(&bundle, &command, &change).unwrap();
    let mut found = [theirs.wrote, String::new()];
    with_zygote(async |zygote| {
        found[1] = by_us(zygote, &bundle, &command, &change).await.unwrap().wrote;
    });
    // runc leaves a signal of the C library's own ignored. It allows /dev/net/tun, which no container has.
    found.map(|text| {
        text.replace("ours-", "").replace("runc-", "").replace("SigIgn:\t0000000080000000", "SigIgn:\t0000000000000000")
    })
}

#[track_caller]
fn assert_same(change: impl Fn(&mut Value)) {
    let [theirs, ours] = found(change);
    assert!(theirs.contains("== calls") && theirs.lines().count() > 100, "the probe did not run: {theirs}");
    let mut section = "";
    let differences: Vec<String> = {
        let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.lines().collect(), ours.lines().collect());
        let mut found = Vec::new();
        for index in 0..theirs.len().max(ours.len()) {
            let (one, other) = (theirs.get(index).unwrap_or(&"-"), ours.get(index).unwrap_or(&"-"));
            if one.starts_with("== ") {
                section = one;
            }
            if one != other {
                found.push(format!("{section}\n  runc: {one}\n  ours: {other}"));
            }
        }
        found
    };
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..differences.len().min(12)].join("\n")
    );
}

#[test]
fn root_finds_the_same_in_either_container() {
    assert_same(|_| {});
}

#[test]
fn a_user_finds_the_same_in_either_container() {
    assert_same(|spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [4, 27]});
        spec["process"]["cwd"] = json!("/srv/made/for it");
    });
}

#[test]
fn a_read_only_root_with_volumes_in_memory_is_the_same_in_either_container() {
    assert_same(|spec| {
        spec["root"]["readonly"] = json!(true);
        let memory = |at: &str, options: &[&str]| json!({"destination": at, "type": "tmpfs", "source": "tmpfs", "options": options});
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.push(memory("/tmp", &["mode=1777", "nosuid", "nodev", "size=1000k"]));
        mounts.push(memory("/srv/volume", &["mode=755", "uid=7", "gid=8", "tmpcopyup", "nosuid", "nodev"]));
    });
}

#[test]
fn fewer_capabilities_and_no_filter_are_the_same_in_either_container() {
    assert_same(|spec| {
        let capabilities = json!(["CAP_NET_BIND_SERVICE"]);
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            spec["process"]["capabilities"][set] = capabilities.clone();
        }
        spec["process"]["user"] = json!({"uid": 1000, "gid": 5, "umask": 63});
        spec["process"]["oomScoreAdj"] = json!(500);
        spec["process"]["env"] = json!(["PATH=/usr/bin:/bin", "HOME=/own"]);
        spec["linux"]["seccomp"] = Value::Null;
    });
}
