//! The fake's own logic: faults, time, strictness. What it shares with a real host is in `tests/host_contract`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::*;
use crate::function::{FunctionId, Generation, InstanceIds, Outbound, Spec, SpecDraft};
use crate::host::{Check, HostError, InstanceConfig, PullPolicy, Signal, WarmId};

const IMAGE: &str = "docker.io/library/echo:1";
const SECOND: Duration = Duration::from_secs(1);

fn fake(behaviour: Behaviour) -> (FakeHost, Host) {
    let fake = FakeHost::new();
    fake.publish_image(IMAGE, behaviour);
    let host = fake.host();
    (fake, host)
}

fn id(function: &str, seed: u64) -> InstanceId {
    InstanceIds::new(&function.parse().unwrap(), seed).next_id()
}

async fn creation(host: &Host, id: &InstanceId) -> InstanceConfig {
    let image = host.images.ensure(IMAGE, PullPolicy::IfNotPresent).await.unwrap();
    host.network.attach(id).await.unwrap();
    let function: FunctionId = id.as_str().rsplit_once('-').unwrap().0.parse().unwrap();
    let spec = Arc::new(Spec::try_from(SpecDraft { image: IMAGE.into(), ..SpecDraft::default() }).unwrap());
    InstanceConfig { id: id.clone(), function, generation: Generation(1), spec, image, secrets: BTreeMap::new() }
}

async fn run(host: &Host, id: &InstanceId) -> Check {
    host.runtime.prepare(&creation(host, id).await).await.unwrap();
    let at = host.network.lookup(id).await.unwrap();
    host.runtime.create(id, &at).await.unwrap();
    host.runtime.start(id).await.unwrap();
    let address = SocketAddr::new(at.address, PORT);
    Check { address, path: "/".into(), timeout: SECOND }
}

#[tokio::test(start_paused = true)]
async fn readiness_and_the_end_of_a_process_follow_its_behaviour_in_simulated_time() {
    let behaviour = Behaviour::new().ready_after(5 * SECOND).exits_after(60 * SECOND, Exit::Code(3)).writes("bye");
    let (_, host) = fake(behaviour);
    let (a, began) = (id("echo", 1), Instant::now());
    let check = run(&host, &a).await;
    assert!(host.probe.ask(&check).await.unwrap_err().contains("refused"));
    tokio::time::sleep(5 * SECOND).await;
    host.probe.ask(&check).await.unwrap();
    assert_eq!(host.runtime.wait(&a).await.unwrap(), Exit::Code(3));
    assert_eq!(began.elapsed(), 60 * SECOND);
    assert!(host.probe.ask(&check).await.is_err());
    assert_eq!(host.runtime.log_tail(&a, 2).await.unwrap(), "ye");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_term_for_a_while_is_ended_sooner_by_kill() {
    let (_, host) = fake(Behaviour::new().ignores_term_for(30 * SECOND));
    let a = id("echo", 1);
    run(&host, &a).await;
    host.runtime.kill(&a, Signal::TERM).await.unwrap();
    timeout(10 * SECOND, host.runtime.wait(&a)).await.unwrap_err();
    host.runtime.kill(&a, Signal::KILL).await.unwrap();
    assert_eq!(host.runtime.wait(&a).await.unwrap(), Exit::Signal(9));
}

#[tokio::test(start_paused = true)]
async fn every_method_can_fail_and_then_works_again() {
    for &method in Method::ALL {
        let (fake, host) = fake(Behaviour::new());
        fake.add_archive(Path::new("a.tar"), []);
        fake.fault(Rule::on(method, Fault::Error(HostError::Failed("scripted".into()))));
        let failed = every_call_fails_once(&host).await;
        assert_eq!(failed, [format!("{method:?}")], "only the scripted call fails, and once");
        assert_eq!(fake.violations(), [""; 0]);
        assert!(fake.leftovers().is_empty());
    }
}

/// Makes every call until it succeeds, at most twice; the names of those that failed.
async fn every_call_fails_once(host: &Host) -> Vec<String> {
    let mut failed = Vec::new();
    let a = id("echo", 1);
    macro_rules! call {
        ($method:ident, $call:expr) => {
            match $call.await {
                Ok(answer) => answer,
                Err(error) => {
                    assert_eq!(error.to_string(), "scripted");
                    failed.push(format!("{:?}", Method::$method));
                    $call.await.unwrap()
                }
            }
        };
    }
    let image = call!(ImagesEnsure, host.images.ensure(IMAGE, PullPolicy::Always));
    call!(ImagesImport, host.images.import(Path::new("a.tar")));
    let pulled = call!(ImagesPulled, host.images.pulled(&BTreeSet::new())).remove(0);
    call!(ImagesNoteUnneeded, host.images.note_unneeded(&pulled, None));
    call!(ImagesRemove, host.images.remove(&pulled, true));
    call!(DisksRoom, host.disks.room());
    call!(MemoryLook, host.memory.memory());
    call!(DisksUsedPercent, host.disks.used_percent());
    call!(NetworkAttach, host.network.attach(&a));
    call!(NetworkRestrict, host.network.restrict(&a, &Outbound::All));
    let at = call!(NetworkLookup, host.network.lookup(&a));
    call!(NetworkList, host.network.list());
    let (warm, b) = (WarmId::random(), id("echo", 2));
    call!(NetworkWarm, host.network.warm(&warm));
    call!(NetworkListWarm, host.network.list_warm());
    call!(NetworkClaim, host.network.claim(&warm, &b));
    call!(NetworkDiscard, host.network.discard(&warm));
    call!(NetworkDetach, host.network.detach(&b));
    let spec = Arc::new(Spec::try_from(SpecDraft { image: IMAGE.into(), ..SpecDraft::default() }).unwrap());
    let creation = InstanceConfig {
        id: a.clone(),
        function: "echo".parse().unwrap(),
        generation: Generation(1),
        spec,
        image,
        secrets: BTreeMap::new(),
    };
    call!(RuntimePrepare, host.runtime.prepare(&creation));
    call!(RuntimeCreate, host.runtime.create(&a, &at));
    call!(RuntimeStart, host.runtime.start(&a));
    call!(RuntimeUsage, host.runtime.usage(&a));
    call!(RuntimeWritten, host.runtime.written(&a, 1));
    call!(RuntimeFreeze, host.runtime.freeze(&a));
    call!(RuntimeThaw, host.runtime.thaw(&a));
    call!(RuntimeUpdateSecrets, host.runtime.update_secrets(&a, &BTreeMap::new()));
    call!(
        ProbeAsk,
        host.probe.ask(&Check { address: SocketAddr::new(at.address, PORT), path: "/".into(), timeout: SECOND })
    );
    call!(RuntimeListening, host.runtime.listening(&a));
    call!(RuntimeList, host.runtime.list());
    call!(RuntimeLogTail, host.runtime.log_tail(&a, 10));
    let kept = call!(LogsKept, host.logs.kept(&creation.function));
    call!(LogsChanged, host.logs.changed(&creation.function, kept.version + 1));
    call!(LogsRead, host.logs.read(&a, 0, 10));
    call!(LogsForget, host.logs.forget(&creation.function, jiff::Timestamp::MIN));
    call!(LogsSweep, host.logs.sweep(&BTreeMap::new(), jiff::Timestamp::MIN));
    call!(RuntimeTermination, host.runtime.termination(&a));
    call!(RuntimeKill, host.runtime.kill(&a, Signal::TERM));
    call!(RuntimeWait, host.runtime.wait(&a));
    call!(RuntimeRemove, host.runtime.remove(&a));
    call!(NetworkDetach, host.network.detach(&a));
    failed
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_answers_when_it_is_released_and_is_logged_as_dropped_when_given_up() {
    let (fake, host) = fake(Behaviour::new());
    let a = id("echo", 1);
    fake.fault(Rule::on(Method::NetworkAttach, Fault::Hang).times(2));
    timeout(SECOND, host.network.attach(&a)).await.unwrap_err();
    assert_eq!(fake.calls().last().unwrap().phase, Phase::Dropped);
    assert!(fake.leftovers().is_empty());

    let attach = tokio::spawn({
        let (host, a) = (host.clone(), a.clone());
        async move { host.network.attach(&a).await }
    });
    fake.called(Method::NetworkAttach, 2).await;
    tokio::time::sleep(3600 * SECOND).await;
    assert!(!attach.is_finished());
    fake.release();
    attach.await.unwrap().unwrap();
    assert_eq!(fake.calls().last().unwrap().phase, Phase::Ended(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_logged_and_the_fake_goes_on() {
    let (fake, host) = fake(Behaviour::new());
    let a = id("echo", 1);
    fake.fault(Rule::on(Method::NetworkAttach, Fault::Panic).after_effect());
    let attach = tokio::spawn({
        let (host, a) = (host.clone(), a.clone());
        async move { host.network.attach(&a).await }
    });
    assert!(attach.await.unwrap_err().is_panic());
    assert_eq!(fake.calls().last().unwrap().phase, Phase::Panicked);
    host.network.lookup(&a).await.expect("the attachment was made before the panic");
}

#[tokio::test(start_paused = true)]
async fn a_rule_is_only_for_whom_it_names_and_only_as_often_as_it_says() {
    let (fake, host) = fake(Behaviour::new());
    let error = HostError::Failed("scripted".into());
    fake.fault(Rule::on(Method::NetworkList, Fault::Error(error.clone())).times(2));
    fake.fault(Rule::on(Method::NetworkAttach, Fault::Error(error.clone())).only(&id("echo", 1)).always());
    fake.fault(Rule::on(Method::NetworkDetach, Fault::Error(error)).only_function(&"cat".parse().unwrap()));
    for expected in [false, false, true] {
        assert_eq!(host.network.list().await.is_ok(), expected);
    }
    for _ in 0..3 {
        host.network.attach(&id("echo", 1)).await.unwrap_err();
    }
    host.network.attach(&id("echo", 2)).await.unwrap();
    host.network.detach(&id("echo", 2)).await.unwrap();
    host.network.detach(&id("cat-food", 1)).await.unwrap();
    host.network.detach(&id("cat", 1)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_stops_halfway_leaves_half_and_remove_and_detach_take_it_away() {
    let (fake, host) = fake(Behaviour::new());
    let error = || Fault::Error(HostError::Failed("scripted".into()));
    let a = id("echo", 1);
    for (seed, half) in [(1, Method::RuntimePrepare), (3, Method::RuntimeCreate)] {
        let one = id("echo", seed);
        fake.fault(Rule::on(half, error()).halfway());
        let creation = creation(&host, &one).await;
        let at = host.network.lookup(&one).await.unwrap();
        let made = match host.runtime.prepare(&creation).await {
            Ok(()) => host.runtime.create(&one, &at).await,
            refused => refused,
        };
        made.unwrap_err();
        assert_eq!(fake.leftovers().remains, [one.clone()].into());
        assert_eq!(
            host.runtime.list().await.unwrap(),
            [crate::host::InstanceRecord { id: one.clone(), of: None, running: false }]
        );
        host.runtime.remove(&one).await.unwrap();
        assert_eq!(fake.leftovers().remains, [].into());
        if one != a {
            host.network.detach(&one).await.unwrap();
        }
    }

    fake.fault(Rule::on(Method::NetworkDetach, error()).halfway());
    host.network.detach(&a).await.unwrap_err();
    assert!(matches!(host.network.lookup(&a).await, Err(HostError::NotFound(_))));
    assert_eq!(host.network.list().await.unwrap(), [a.clone()].to_vec());
    host.network.detach(&a).await.unwrap();
    assert!(fake.leftovers().is_empty());
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_no_correct_caller_makes_are_refused_and_noted() {
    let (fake, host) = fake(Behaviour::new());
    let (a, b) = (id("echo", 1), id("echo", 2));
    host.runtime.start(&a).await.unwrap_err();
    let creation = creation(&host, &a).await;
    host.network.attach(&a).await.unwrap_err();
    let at = host.network.lookup(&a).await.unwrap();
    host.runtime.create(&a, &at).await.unwrap_err();
    host.runtime.prepare(&InstanceConfig { id: b.clone(), ..creation.clone() }).await.unwrap();
    host.runtime.create(&b, &at).await.unwrap_err();
    host.runtime.remove(&b).await.unwrap();
    host.runtime.prepare(&creation).await.unwrap();
    host.runtime.prepare(&creation).await.unwrap_err();
    host.runtime.create(&a, &at).await.unwrap();
    host.runtime.prepare(&creation).await.unwrap_err();
    host.runtime.start(&a).await.unwrap();
    host.runtime.start(&a).await.unwrap_err();
    host.network.detach(&a).await.unwrap_err();
    host.runtime.remove(&a).await.unwrap();
    host.network.detach(&a).await.unwrap();
    host.network.attach(&a).await.unwrap_err();
    let expected = [
        "was not created",
        "attached already",
        "not prepared",
        "not attached to",
        "exists already",
        "exists already",
        "started before",
        "nobody asked it to end",
        "used before",
    ];
    let violations = fake.violations();
    assert_eq!(violations.len(), expected.len(), "{violations:?}");
    for (violation, part) in violations.iter().zip(expected) {
        assert!(violation.contains(part), "{violation}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_test_runs_beside_a_process_starts_and_ends_with_it() {
    let (fake, host) = fake(Behaviour::new());
    let address: IpAddr = [127, 9, 9, 9].into();
    fake.serve_at(&"echo".parse().unwrap(), [address]);
    let beside = Arc::new(());
    let held = beside.clone();
    fake.on_start(move |_, at| {
        assert_eq!(at, SocketAddr::new(address, PORT));
        Box::new(held.clone())
    });
    let a = id("echo", 1);
    run(&host, &a).await;
    assert_eq!(Arc::strong_count(&beside), 3);
    assert!(fake.exit(&a, Exit::Code(1)));
    assert_eq!(Arc::strong_count(&beside), 2);
    assert!(!fake.exit(&a, Exit::Code(1)), "it has ended already");
    assert_eq!(host.runtime.wait(&a).await.unwrap(), Exit::Code(1));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_process_neither_works_nor_ends_by_itself_but_can_be_ended() {
    let dies = Behaviour::new().uses(500, 1 << 20).ready_after(2 * SECOND).exits_after(4 * SECOND, Exit::Code(3));
    let (fake, host) = fake(dies);
    let (a, b) = (id("echo", 1), id("echo", 2));
    run(&host, &a).await;
    run(&host, &b).await;
    tokio::time::sleep(SECOND).await;
    host.runtime.freeze(&a).await.unwrap();
    host.runtime.freeze(&b).await.unwrap();
    assert_eq!(fake.frozen(), [a.clone(), b.clone()].into());
    timeout(3600 * SECOND, host.runtime.wait(&a)).await.expect_err("it does not come to its end");
    let used = host.runtime.usage(&a).await.unwrap();
    assert_eq!((used.cpu, used.age), (SECOND / 2, 3601 * SECOND));
    assert_eq!(host.runtime.listening(&a).await.unwrap(), Some(Vec::new()), "it is not ready yet");

    let begun = Instant::now();
    let server = async {
        fake.thawed(&a).await;
        begun.elapsed()
    };
    let thaw = async {
        tokio::time::sleep(SECOND).await;
        host.runtime.thaw(&a).await.unwrap();
    };
    assert_eq!(tokio::join!(server, thaw).0, SECOND);
    assert_eq!(host.runtime.wait(&a).await.unwrap(), Exit::Code(3));
    assert_eq!(begun.elapsed(), 4 * SECOND, "it had 3 seconds left when it was frozen");

    assert!(fake.exit(&b, Exit::OutOfMemory));
    assert_eq!(host.runtime.wait(&b).await.unwrap(), Exit::OutOfMemory);
    assert!(fake.frozen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_how_many_calls_were_under_way_at_once() {
    let (fake, host) = fake(Behaviour::new().pulls_in(SECOND));
    let pull = || host.images.ensure(IMAGE, PullPolicy::Always);
    let (one, two) = tokio::join!(pull(), pull());
    assert_eq!(one, two);
    pull().await.unwrap();
    assert_eq!(fake.count(Method::ImagesEnsure), 3);
    assert_eq!(fake.most_at_once(Method::ImagesEnsure), 2);
    fake.publish_image(IMAGE, Behaviour::new());
    assert_ne!(pull().await, one, "a tag that moved has another digest");
}
