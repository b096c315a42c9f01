//! An upgrade under load, and the way back from a program that fails: one that never serves costs nobody a request, and one that
//! does harm costs those that are under way when it does.

use std::process::Stdio;

use crate::machine::{Machine, Said};
use crate::manager::until;
use crate::process::Actord;

/// Upgrades to a program that fails, under load; the old one has to be there again, with all functions. Returns how many
/// requests failed, and how many clients there are.
async fn goes_back_from(machine: &Machine, words: &str) -> (usize, usize) {
    let before = machine.manager.functions();
    assert_eq!(before.len(), 1);
    let (load, clients) = machine.load().await;
    let bad = machine.other(words);
    let said = machine.upgrade(&bad, &[]).await;
    std::fs::remove_file(&bad).unwrap();
    let (outcome, reason) = machine.outcome().await;
    assert_eq!(outcome, "went-back", "{words}: {reason}\n{said:?}\n{}", machine.story());
    assert!(!said.is_good && said.text.contains(&reason) && !reason.is_empty(), "{words}: {reason:?} {said:?}");
    assert!(machine.runs_today(), "{words}: {}", machine.story());
    let answered = load.answered();
    load.reaches(answered + 200).await;
    let seen = load.finish().await;
    println!("{words} ({reason}): {seen}");
    if words != "kills-functions" {
        assert_eq!(machine.manager.functions(), before, "{words}: the function's process was left alone");
    }
    assert!(seen.failed.len() <= clients, "{words}: {:?}\n{}", seen.failed, machine.story());
    (seen.failed.len(), clients)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_never_serves_fails_no_request_and_the_old_one_goes_on() {
    let machine = Machine::start().await;
    for words in ["no-start", "panics", "never-ready", "refuses-store"] {
        let (failed, _) = goes_back_from(&machine, words).await;
        assert_eq!(failed, 0, "{words}: {}", machine.story());
    }
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_harm_fails_requests_under_way_alone_and_all_functions_serve_again() {
    let machine = Machine::start().await;
    for words in ["kills-functions", "dies-late"] {
        let (failed, clients) = goes_back_from(&machine, words).await;
        println!("{words}: {failed} requests failed, of {clients} clients that were at work");
    }
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_program_stays_and_no_request_fails_also_where_the_caller_leaves() {
    let machine = Machine::start().await;
    let before = machine.manager.functions();
    let (load, _) = machine.load().await;
    let good = machine.other("good");
    let mut caller = machine.begin(&good, &[]);
    machine.reaches("trial").await;
    caller.kill().await.unwrap();

    // One at a time.
    let another = machine.other("good too");
    let refused = machine.upgrade(&another, &[]).await;
    assert!(!refused.is_good && refused.text.contains("under way"), "{refused:?}");
    // Nor is anything removed, or changed behind the back of both.
    let mut down = machine.manager.actord.command("down");
    let refused = down.arg("--upgrade-dir").arg(&machine.home).stderr(Stdio::piped()).output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("under way"), "{words}");

    assert_eq!(machine.outcome().await, ("passed".to_owned(), String::new()), "{}", machine.story());
    assert!(machine.runs(&good), "{}", machine.story());
    let answered = load.answered();
    load.reaches(answered + 200).await;
    let seen = load.finish().await;
    println!("a good upgrade: {seen}");
    assert_eq!(seen.failed, [""; 0], "{}", machine.story());
    assert_eq!(machine.manager.functions(), before, "the function's process was left alone");
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_crashes_by_itself_during_a_trial_is_started_again_and_undoes_nothing() {
    let machine = Machine::start().await;
    let before = machine.manager.functions();
    let good = machine.other("good");
    let caller = machine.begin(&good, &[]);
    machine.reaches("trial").await;
    let answers = async || machine.status("GET", "/function/hello/version", "").await == 200;
    until("the new program serves", async || machine.runs(&good) && answers().await).await;
    // Whatever its caller is told of that.
    let _ = machine.manager.actord.call("POST", "/function/hello/exit?code=7", "").await;
    until("its process is gone", async || machine.manager.functions() != before).await;
    assert_eq!(machine.step().as_deref(), Some("trial"), "{}", machine.story());
    until("it is started again", answers).await;

    let said = Said::by(caller).await;
    assert_eq!(machine.outcome().await, ("passed".to_owned(), String::new()), "{said:?}\n{}", machine.story());
    assert!(machine.runs(&good) && answers().await, "{}", machine.story());
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_frozen_is_thawed_before_the_old_program_goes_on() {
    let machine = Machine::start().await;
    let sleepy = r#"{"service":"sleepy","image":"docker.io/test/hello:1","annotations":{"actord.freeze-after":"1s"}}"#;
    machine.manager.ask("POST", "/system/functions", sleepy).await;
    let before = machine.manager.functions();
    until("the function is frozen", async || {
        machine.manager.ask("GET", "/system/function/sleepy", "").await.contains(r#""phase":"frozen""#)
    })
    .await;
    let said = machine.upgrade(&machine.other("no-start"), &[]).await;
    assert_eq!(machine.outcome().await.0, "went-back", "{said:?}\n{}", machine.story());
    assert!(machine.story().contains("what was frozen goes on instances=1"), "{}", machine.story());
    assert_eq!(machine.status("GET", "/function/sleepy/version", "").await, 200);
    assert_eq!(machine.manager.functions(), before, "its process was left alone");
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_an_upgrade_is_refused_in_words_and_nothing_is_touched() {
    let machine = Machine::start().await;
    let started = machine.manager.supervised().started();
    let directory = machine.manager.actord.directory().to_owned();
    let text = directory.join("text");
    std::fs::write(&text, "no program\n").unwrap();
    for (file, words) in [
        (directory.join("nowhere"), "nowhere"),
        (text, "neither a program nor a Debian package"),
        (machine.program.clone(), "it is the program that runs"),
        ("/bin/true".into(), "/bin/true"),
    ] {
        let refused = machine.upgrade(&file, &[]).await;
        assert!(!refused.is_good && refused.text.contains(words), "{}: {refused:?}", file.display());
        assert_eq!(machine.step(), None, "{}", file.display());
    }
    assert_eq!(machine.manager.supervised().started(), started, "nothing was restarted");
    assert!(machine.runs_today() && machine.watchers().is_empty());
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actord_that_nobody_would_start_again_is_not_upgraded() {
    let mut actord = Actord::new();
    actord.start().await;
    let home = actord.directory().join("upgrade");
    let mut upgrade = actord.command("upgrade");
    let refused = upgrade.arg("/bin/true").arg("--upgrade-dir").arg(&home).status().unwrap();
    assert!(!refused.success() && actord.end_of_log().contains("service manager"), "{}", actord.end_of_log());
    assert!(!home.join("trial.json").exists());
    actord.finish().await;
}
