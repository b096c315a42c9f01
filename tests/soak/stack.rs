//! A stack of many functions, applied from the command line, beside as many bare containers of the same containerd.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::time::Instant;

use crate::actord::{Actord, HELLO_1, until};
use crate::bare::Bare;
use crate::sized;

/// Instances that actord starts side by side, and the floor as well.
const PARALLEL: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_is_applied_at_once_and_each_function_tells_how_far_it_is() {
    let count = sized(5, 50);
    let actord = Actord::start().await;
    let bare = Bare::new(&actord.socket(), &actord.namespace(), &actord.directory().join("bare")).await;

    let begun = Instant::now();
    let starts = (0..count).map(|n| format!("bare-{n}"));
    stream::iter(starts.clone()).for_each_concurrent(PARALLEL, async |id| bare.start(&id).await).await;
    let floor = begun.elapsed();
    stream::iter(starts).for_each_concurrent(PARALLEL, async |id| bare.remove(&id).await).await;

    let names: Vec<String> = (0..count).map(|n| format!("part-{n:02}")).collect();
    let function = |name: &String| format!("  {name}:\n    image: {HELLO_1}\n    environment: {{WHO: {name}}}\n");
    let functions: String = names.iter().map(function).collect();
    let stack = actord.directory().join("stack.yaml");
    fs::write(&stack, format!("provider:\n  name: openfaas\nfunctions:\n{functions}")).unwrap();
    let apply = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actord"));
        command.args(["apply", "--output", "json", "--file"]).arg(&stack).args(more).stdin(Stdio::null());
        command.args(["--gateway", &format!("http://{}", actord.public)]).arg("--data-dir").arg(actord.data());
        let begun = Instant::now();
        let output = command.args(["--config", "/dev/null"]).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{out}{err}{}", actord.log());
        (serde_json::from_str::<Value>(&out).unwrap(), err, begun.elapsed())
    };
    let (report, progress, took) = tokio::task::block_in_place(|| apply(&[]));

    let results = |report: &Value| -> BTreeMap<String, (String, bool)> {
        let one = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            (text("function"), (text("result"), one["ready"] == true))
        };
        report["functions"].as_array().unwrap().iter().map(one).collect()
    };
    let expected = |result: &str| -> BTreeMap<String, (String, bool)> {
        names.iter().map(|name| (format!("{name}.openfaas-fn"), (result.to_owned(), true))).collect()
    };
    assert_eq!(results(&report), expected("created"));
    for name in &names {
        let lines: Vec<&str> = progress.lines().filter(|line| line.starts_with(name)).collect();
        assert!(lines.first().is_some_and(|line| line.ends_with(": asked for")), "{name}: {lines:?}");
        assert!(lines.last().is_some_and(|line| line.contains(": created in ")), "{name}: {lines:?}");
        let env = actord.get(&format!("/function/{name}/env")).await;
        assert!(env.text().contains(&format!("WHO={name}\n")), "{name} answers for itself: {}", env.text());
    }
    println!(
        "apply: a stack of {count} functions is ready in {} ms; {count} bare containers, {PARALLEL} at a time, start in {} \
         ms: ratio {:.2}",
        took.as_millis(),
        floor.as_millis(),
        took.as_secs_f64() / floor.as_secs_f64(),
    );

    // One that takes its time tells what it is at.
    let whole = fs::read_to_string(&stack).unwrap();
    let slow = format!("  slow:\n    image: {HELLO_1}\n    environment: {{START_DELAY_MS: \"1500\"}}\n");
    fs::write(&stack, format!("provider:\n  name: openfaas\nfunctions:\n{slow}")).unwrap();
    let (_, progress, _) = tokio::task::block_in_place(|| apply(&[]));
    assert!(progress.contains("slow.openfaas-fn: waiting"), "no step was seen: {progress}");
    assert_eq!(actord.delete("slow").await.status, 202);
    until("it is gone", async || actord.processes_of("slow").is_empty()).await;
    fs::write(&stack, whole).unwrap();

    // As it is: nothing happens to what runs.
    let processes = actord.processes();
    let (report, _, again) = tokio::task::block_in_place(|| apply(&[]));
    assert_eq!(results(&report), expected("unchanged"));
    assert_eq!(actord.processes(), processes);
    println!("apply: the same stack again in {} ms", again.as_millis());

    // Without its first function, that one goes.
    let less: String = names.iter().skip(1).map(function).collect();
    fs::write(&stack, format!("functions:\n{less}")).unwrap();
    let (report, ..) = tokio::task::block_in_place(|| apply(&["--prune"]));
    assert_eq!(results(&report)[&format!("{}.openfaas-fn", names[0])], ("removed".to_owned(), false));
    assert_eq!(actord.list().await.len(), count - 1);
    actord.finish().await;
}
