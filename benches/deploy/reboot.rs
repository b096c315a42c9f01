//! Many functions after the machine was started anew, beside as many bare containers.
//!
//! A reboot is imitated: every process, mount, namespace, link, rule and cgroup of the run is swept away, and what lay in
//! memory is empty.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::bare::Bare;
use crate::bulk::{bare_containers, with_cpu};
use crate::process::Actord;
use crate::run::sweep;
use crate::{accepted, answers_version, sized, spec};

/// Prints how long it takes until all of them serve, beside bare containers so many at a time.
pub(crate) async fn of_many(actord: &mut Actord, bare: &Bare, boot_id: &Path, count: usize) {
    let at_a_time = sized("SIDE_BY_SIDE", 4);
    let (floor, spent) = with_cpu(bare_containers(bare, count, at_a_time)).await;
    let floor = floor.as_secs_f64();
    println!("  {count} bare, {at_a_time} at a time: {floor:.2} s, {spent:.2} s of cpu");

    let names: Vec<String> = (0..count).map(|n| format!("boot-{n}")).collect();
    let one = &*actord;
    stream::iter(&names)
        .for_each_concurrent(8, |name| async move { accepted(one, "POST", &spec(name, 1)).await })
        .await;
    actord.signal(Signal::KILL);
    actord.ended().await;
    sweep(&actord.traces(BTreeSet::new()));
    fs::remove_dir_all(actord.directory().join("state")).unwrap();
    fs::write(boot_id, "22222222-2222-4222-8222-222222222222\n").unwrap();

    let begun = Instant::now();
    let again = async {
        actord.start().await;
        let answered = begun.elapsed();
        let one = &*actord;
        stream::iter(&names).for_each_concurrent(32, |name| async move { answers_version(one, name, 1).await }).await;
        answered
    };
    let (answered, spent) = with_cpu(again).await;
    let (took, answered) = (begun.elapsed().as_secs_f64(), answered.as_secs_f64());
    println!("  the API answered after {answered:.2} s; {spent:.2} s of cpu");
    println!("reboot of {count}: {took:.2} s   bare, {at_a_time} at a time: {floor:.2} s   ratio {:.2}", took / floor);
}
