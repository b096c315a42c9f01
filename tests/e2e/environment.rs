//! What a function finds when it looks around.

use std::fs;

use serde_json::json;

use crate::actord::Actord;
use crate::sample::Sample;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_finds_its_environment_secrets_name_and_limits() {
    let user = "docker.io/actord/user:1";
    let actord = Actord::with(&["--dns", "10.9.8.7"], |images| {
        Sample::new(crate::actord::HELLO_1).version("1").env("FROM_IMAGE", "yes").write(images);
        Sample::new(user).version("1").user("1000:1000").write(images);
    })
    .await;
    let secrets = actord.data().join("secrets/openfaas-fn");
    fs::create_dir_all(&secrets).unwrap();
    for (name, value) in [("db-password", "s3cret\n"), ("api-key", "k3y")] {
        fs::write(secrets.join(name), value).unwrap();
    }
    let read = async |name: &str, path: &str| actord.get(&format!("/function/{name}/file?path={path}")).await;
    let env = async |name: &str| actord.get(&format!("/function/{name}/env")).await.text();

    actord
        .deploy(
            "looks",
            json!({
                "envProcess": "from envProcess",
                "envVars": { "EQUALS": "a=b=c", "EMPTY": "" },
                "secrets": ["db-password", "api-key"],
                "limits": { "memory": "96Mi" },
                "readOnlyRootFilesystem": true,
            }),
        )
        .await;
    let seen = env("looks").await;
    for line in ["fprocess=from envProcess\n", "EQUALS=a=b=c\n", "EMPTY=\n", "FROM_IMAGE=yes\n", "VERSION=1\n"] {
        assert!(seen.contains(line), "{line:?} in {seen}");
    }
    for (path, content) in [
        ("/var/openfaas/secrets/db-password", "s3cret\n"),
        ("/var/openfaas/secrets/api-key", "k3y"),
        ("/var/openfaas/secrets", "api-key\ndb-password\n"),
        ("/etc/resolv.conf", "nameserver 10.9.8.7"),
        ("/proc/sys/kernel/hostname", "looks\n"),
        ("/etc/hosts", "looks"),
    ] {
        let answer = read("looks", path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.text().contains(content), "{path}: {}", answer.text());
    }
    let options = |mounts: &str, at: &str| -> String {
        let line = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(at));
        line.unwrap_or_else(|| panic!("{at} is no mount: {mounts}")).split(' ').nth(5).unwrap().to_owned()
    };
    let mounts = read("looks", "/proc/self/mountinfo").await.text();
    for at in ["/", "/var/openfaas/secrets", "/etc/resolv.conf", "/etc/hosts"] {
        assert!(options(&mounts, at).starts_with("ro"), "{at} is read-only: {mounts}");
    }
    let group = format!("/sys/fs/cgroup/memory/{}", actord.traces().cgroup_parent);
    if let Some(group) = fs::read_dir(group).into_iter().flatten().flatten().find(|entry| entry.path().is_dir()) {
        assert_eq!(fs::read_to_string(group.path().join("memory.limit_in_bytes")).unwrap().trim(), "100663296");
    }

    // A variable of that name is the stronger one; without either there is none.
    actord.deploy("wins", json!({ "envProcess": "weak", "envVars": { "fprocess": "strong" } })).await;
    assert!(env("wins").await.contains("fprocess=strong\n"));
    actord.deploy("plain", json!({ "image": user, "secrets": ["api-key"] })).await;
    assert!(!env("plain").await.contains("fprocess"));
    assert_eq!(read("plain", "/var/openfaas/secrets/api-key").await.text(), "k3y", "its USER can read it");
    assert!(options(&read("plain", "/proc/self/mountinfo").await.text(), "/").starts_with("rw"));
    assert!(read("plain", "/proc/self/status").await.text().contains("Uid:\t1000\t1000"));
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actord_warns_of_a_variable_that_no_setting_has() {
    let mut actord = Actord::start().await;
    let warning = |actord: &Actord| actord.log().lines().any(|line| line.contains("WARN") && line.contains("ACTORD_"));
    assert!(!warning(&actord), "{}", actord.log());

    assert!(actord.stop().await.success());
    actord.set_variable("ACTORD_WARM_ATTACHMENT", "4");
    actord.launch(&[]).await;
    assert!(warning(&actord) && actord.log().contains("ACTORD_WARM_ATTACHMENT\""), "{}", actord.log());
    actord.finish().await;
}
