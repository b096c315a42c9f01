//! How instances are ended: by which signal, and after how long by force.

use std::time::Duration;

use actord::actors::Settings;
use actord::engine::Mode;
use actord::function::{Exit, InstanceId, Spec, SpecDraft};
use actord::host::fake::Behaviour;
use actord::host::{Runtime as _, Signal};
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, simulate};

fn with_env(image: &str, variables: &[(&str, &str)]) -> Spec {
    let env_vars = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    SpecDraft { image: image.into(), env_vars, ..SpecDraft::default() }.try_into().unwrap()
}

/// How long it takes until an instance that heeds no signal is killed, once its function is deleted.
async fn killed_after(platform: &Platform, image: Behaviour, variables: &[(&str, &str)]) -> Duration {
    // A name of its own: one that is on the machine is not pulled again.
    let reference = format!("deaf:{}", platform.host.calls().len());
    platform.host.publish_image(&reference, image.ignores_term());
    platform.apply(Mode::Create, "deaf", with_env(&reference, variables)).await.unwrap();
    let instance = platform.published("deaf").remove(0);
    let began = Instant::now();
    platform.delete("deaf").await.unwrap();
    platform.until("it is killed", async |p| !p.host.running().contains(&instance)).await;
    began.elapsed()
}

#[test]
fn the_kill_comes_after_the_functions_own_time_and_not_at_the_same_second() {
    simulate(async {
        let platform =
            Platform::start_with(Settings { grace_period: Duration::from_secs(30), ..Settings::default() }).await;
        for (image, own, seconds) in [
            (&[][..], &[][..], 30),
            (&[], &[("write_timeout", "30s")], 35),
            (&[], &[("write_timeout", "5s")], 30),
            (&[], &[("exec_timeout", "1m"), ("write_timeout", "50")], 65),
            (&[], &[("healthcheck_interval", "45s"), ("write_timeout", "10s")], 50),
            (&[], &[("write_timeout", "never")], 30),
            (&[], &[("grace_period", "90")], 90),
            (&[], &[("grace_period", "2s"), ("write_timeout", "5m")], 2),
            // What the image says is as good, until the function says otherwise.
            (&[("write_timeout", "40s")], &[], 45),
            (&[("write_timeout", "40s")], &[("write_timeout", "50s")], 55),
            (&[("write_timeout", "40s")], &[("write_timeout", "5s")], 30),
            (&[("grace_period", "3s")], &[("write_timeout", "40s")], 3),
        ] {
            let behaviour = image.iter().fold(Behaviour::new(), |image, (name, value)| image.env(name, value));
            let took = killed_after(&platform, behaviour, own).await;
            assert_eq!(took.as_secs(), seconds, "image {image:?}, function {own:?}");
        }
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_watchdog_that_waits_its_write_timeout_before_it_ends_is_not_killed_however_it_goes() {
    simulate(async {
        let watchdog = |tag: u8| with_env(&format!("watchdog:{tag}"), &[("write_timeout", "60s")]);
        for way in WAYS {
            let platform = Platform::start().await;
            for tag in 1..=2 {
                let image = Behaviour::new().ignores_term_for(Duration::from_secs(60));
                platform.host.publish_image(&format!("watchdog:{tag}"), image);
            }
            platform.apply(Mode::Create, "f", watchdog(1)).await.unwrap();
            platform.scale("f", 2).await.unwrap();
            platform.until("both serve", async |p| p.published("f").len() == 2).await;
            let (host, published) = (platform.host.clone(), platform.published("f"));
            let ends = published.into_iter().map(|one| {
                let host = host.clone();
                tokio::spawn(async move { (one.clone(), host.wait(&one).await.unwrap()) })
            });
            let ends: Vec<_> = ends.collect();
            let _platform = go(platform, way, watchdog(2)).await;
            for end in ends {
                let (instance, exit) = end.await.unwrap();
                assert_eq!(exit, Exit::Code(0), "{way:?}: {instance} was not given its time");
            }
        }
    });
}

/// The ways in which an instance is ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Delete,
    Update,
    ScaleDown,
    /// By an actord that did not make it, but took it over.
    DeleteAfterARestart,
    /// By an actord that finds it running though its function is gone.
    Orphaned,
}

const WAYS: [Way; 5] = [Way::Delete, Way::Update, Way::ScaleDown, Way::DeleteAfterARestart, Way::Orphaned];

/// Ends at least one of the instances of `f` in this way.
async fn go(platform: Platform, way: Way, new: Spec) -> Platform {
    match way {
        Way::Delete => platform.delete("f").await.unwrap(),
        Way::Update => platform.apply(Mode::Update, "f", new).await.unwrap(),
        Way::ScaleDown => platform.scale("f", 0).await.unwrap(),
        Way::DeleteAfterARestart => {
            let next = Platform::boot(platform.host.clone(), platform.store.clone(), Settings::default()).await;
            next.until("it is adopted", async |p| !p.published("f").is_empty()).await;
            next.delete("f").await.unwrap();
            return next;
        }
        Way::Orphaned => {
            let store = actord::store::Store::in_memory().unwrap();
            return Platform::boot(platform.host.clone(), store, Settings::default()).await;
        }
    }
    platform
}

/// What the instances of `f` were sent until they were gone, having been ended in this way.
async fn sent(stop_signal: Option<&str>, way: Way) -> Vec<Signal> {
    let platform = Platform::start().await;
    let behaviour = stop_signal.into_iter().fold(Behaviour::new(), Behaviour::stop_signal);
    platform.host.publish_image("f:1", behaviour);
    platform.apply(Mode::Create, "f", with_env("f:1", &[])).await.unwrap();
    let instance: InstanceId = platform.published("f").remove(0);
    let (host, one) = (platform.host.clone(), instance.clone());
    let end = tokio::spawn(async move { host.wait(&one).await.unwrap() });
    let platform = go(platform, way, with_env("good:1", &[])).await;
    assert_eq!(end.await.unwrap(), Exit::Code(0), "{stop_signal:?} {way:?}: it ended by itself");
    platform.until("it is gone", async |p| p.host.generation(&instance).is_none()).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(platform.host.violations(), Vec::<String>::new());
    platform.host.signals(&instance)
}

#[test]
fn an_instance_is_asked_to_end_by_the_signal_that_its_image_names_however_it_goes() {
    simulate(async {
        for (text, signal) in [
            (None, Signal::TERM),
            (Some("SIGQUIT"), Signal::parse("3").unwrap()),
            (Some("usr1"), Signal::parse("10").unwrap()),
            (Some("SIGRTMIN+3"), Signal::parse("37").unwrap()),
            (Some("28"), Signal::parse("SIGWINCH").unwrap()),
            (Some("SIGNONSENSE"), Signal::TERM),
        ] {
            for way in WAYS {
                assert_eq!(sent(text, way).await, [signal], "{text:?} {way:?}");
            }
        }
    });
}

#[test]
fn an_instance_that_does_not_heed_its_signal_is_killed_after_its_grace_period() {
    simulate(async {
        let platform = Platform::start().await;
        let image = Behaviour::new().stop_signal("SIGQUIT");
        let took = killed_after(&platform, image, &[("grace_period", "7s")]).await;
        assert_eq!(took.as_secs(), 7);
        assert_eq!(platform.published("deaf"), []);
    });
}
