//! A reboot: no process, mount, namespace, link, rule or cgroup is left, and what lay in memory is empty.

use std::fs;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::actord::{Actord, until};
use crate::inventory::Inventory;
use crate::{run, sized};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reboot_every_function_serves_again() {
    let functions = sized(20, 200);
    let boot_id = tempfile::NamedTempFile::new().unwrap();
    fs::write(boot_id.path(), "11111111-1111-4111-8111-111111111111\n").unwrap();
    let mut actord = Actord::start_with(&["--boot-id-path", boot_id.path().to_str().unwrap()]).await;
    let names: Vec<String> = (0..functions).map(|n| format!("boot-{n}")).collect();
    deploy(&actord, &names).await;
    let frozen = async || actord.list().await.iter().filter(|one| one["lifecycle"]["phase"] == "frozen").count();
    until("every second function is frozen", async || frozen().await == functions / 2).await;

    let traces = actord.traces();
    let pid = actord.pid();
    actord.kill().await;
    run::sweep(&traces);
    assert!(!traces.processes().iter().any(|(left, _)| *left != pid), "{:?}", traces.processes());
    assert_eq!(traces.mounts(), [""; 0]);
    fs::remove_dir_all(actord.state()).unwrap();
    fs::write(boot_id.path(), "22222222-2222-4222-8222-222222222222\n").unwrap();

    let begun = Instant::now();
    actord.launch(&[]).await;
    let answered = begun.elapsed();
    let one = &actord;
    let mut left = names.clone();
    while !left.is_empty() {
        let asked = stream::iter(left).map(|name| async move {
            let answer = one.get(&format!("/function/{name}/env")).await;
            let serves = answer.status == 200 && answer.text().contains(&format!("WHO={name}\n"));
            (!serves).then_some(name)
        });
        left = asked.buffer_unordered(32).filter_map(async |name| name).collect().await;
        assert!(begun.elapsed().as_secs() < 300, "not back: {left:?}\n{}", actord.log());
    }
    println!(
        "reboot: {functions} functions serve again {:.1} s after the start; the API answered after {:.1} s",
        begun.elapsed().as_secs_f64(),
        answered.as_secs_f64(),
    );
    until("nothing of before is left", async || Inventory::take(&actord.traces()).faults().is_empty()).await;
    assert_eq!(Inventory::take(&actord.traces()).running().len(), functions);
    actord.finish().await;
}

async fn deploy(actord: &Actord, names: &[String]) {
    let deploys = stream::iter(names.iter().enumerate()).map(|(n, name)| {
        let freeze_after = if n % 2 == 0 { "1s" } else { "0" };
        let annotations = json!({ "actord.freeze-after": freeze_after });
        actord.deploy(name, json!({ "envVars": { "WHO": name }, "annotations": annotations }))
    });
    deploys.buffer_unordered(16).collect::<Vec<()>>().await;
}
