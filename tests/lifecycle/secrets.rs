//! A secret that changes while functions run, start, restart, or nobody looks.

use std::sync::Arc;
use std::time::Duration;

use actord::actors::Settings;
use actord::engine::Mode;
use actord::function::{Exit, Phase};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use actord::store::Secrets;
use futures_util::join;
use tokio::time::sleep;

use crate::platform::{Platform, id, secretive, simulate};

impl Platform {
    async fn deploy_with(&self, name: &str, secrets: &[&str]) {
        self.apply(Mode::Create, name, secretive("good:1", secrets)).await.unwrap();
    }

    /// What all serving instances of a function hold of a secret.
    fn all_hold(&self, function: &str, secret: &str) -> Vec<String> {
        self.published(function).iter().map(|instance| self.held(instance, secret)).collect()
    }
}

#[test]
fn a_new_value_reaches_every_instance_that_has_the_secret_and_no_other() {
    simulate(async {
        let platform = Platform::start().await;
        platform.write_secret("db", "one");
        platform.write_secret("other", "1");
        platform.deploy_with("a", &["db", "other"]).await;
        platform.deploy_with("b", &["db"]).await;
        platform.deploy_with("c", &["other"]).await;
        platform.deploy_with("d", &[]).await;
        platform.scale("a", 3).await.unwrap();
        platform.until("all serve", async |p| p.published("a").len() == 3).await;
        let before = platform.host.running();
        platform.write_secret("db", "two");
        platform.until("all have it", async |p| p.all_hold("a", "db") == ["two"; 3]).await;
        platform.until("b has it", async |p| p.all_hold("b", "db") == ["two"]).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(platform.host.count(Method::RuntimeUpdateSecrets), 4, "each of them once");
        assert_eq!(
            (platform.all_hold("a", "other"), platform.all_hold("c", "other")),
            (vec!["1".into(); 3], vec!["1".into()])
        );
        assert_eq!(platform.host.running(), before, "nobody is restarted for it");
        assert_eq!(platform.host.violations(), Vec::<String>::new());
    });
}

#[test]
fn the_same_name_in_another_namespace_is_another_secret() {
    simulate(async {
        let platform = Platform::start().await;
        platform.write_secret("db", "one");
        platform.deploy_with("f", &["db"]).await;
        platform.secrets.write(&"dev".parse().unwrap(), &"db".parse().unwrap(), b"theirs").unwrap();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(platform.host.count(Method::RuntimeUpdateSecrets), 0);
        assert_eq!(platform.all_hold("f", "db"), ["one"]);
    });
}

#[test]
fn an_instance_that_is_being_made_while_the_value_changes_ends_up_with_the_new_one() {
    // At every moment of a start: while the image is pulled, the network attached, the container made, the process
    // started, and while it is not ready yet.
    for moment in (0..300).step_by(7) {
        simulate(async move {
            let platform = Platform::start().await;
            platform.write_secret("db", "old");
            let slow = Behaviour::new().pulls_in(Duration::from_millis(50)).ready_after(Duration::from_millis(60));
            platform.host.publish_image("good:1", slow);
            for method in [Method::NetworkAttach, Method::RuntimeCreate, Method::RuntimeStart] {
                platform.host.fault(Rule::on(method, Fault::Delay(Duration::from_millis(50))));
            }
            // The value was read, and what is made of it takes a while.
            let change = async {
                sleep(Duration::from_millis(moment)).await;
                platform.write_secret("db", "new");
            };
            join!(platform.deploy_with("f", &["db"]), change);
            platform.until("it has it", async |p| p.all_hold("f", "db") == ["new"]).await;
            assert_eq!(platform.host.violations(), Vec::<String>::new());
        });
    }
}

#[test]
fn handing_over_is_tried_again_until_it_works_and_with_the_newest_value() {
    simulate(async {
        let platform = Platform::start().await;
        platform.write_secret("db", "one");
        platform.deploy_with("f", &["db"]).await;
        let failed = || Fault::Error(HostError::Failed("no space left".into()));
        platform.host.fault(Rule::on(Method::RuntimeUpdateSecrets, failed()).times(3));
        platform.write_secret("db", "two");
        platform.host.called(Method::RuntimeUpdateSecrets, 2).await;
        platform.write_secret("db", "three");
        platform.until("it has it", async |p| p.all_hold("f", "db") == ["three"]).await;
        sleep(Duration::from_secs(120)).await;
        assert_eq!(platform.host.count(Method::RuntimeUpdateSecrets), 4);
    });
}

#[test]
fn who_hears_too_much_at_once_looks_at_everything_again() {
    simulate(async {
        let platform = Platform::start().await;
        platform.write_secret("db", "one");
        platform.deploy_with("f", &["db"]).await;
        platform.write_secret("db", "two");
        for n in 0..200 {
            platform.write_secret("noise", &n.to_string());
        }
        platform.until("it has it", async |p| p.all_hold("f", "db") == ["two"]).await;
    });
}

#[test]
fn what_changed_while_no_actord_ran_reaches_an_adopted_instance() {
    simulate(async {
        let first = Platform::start().await;
        first.write_secret("db", "one");
        first.deploy_with("f", &["db"]).await;
        let before = first.published("f");
        let unheard = Secrets::new(first.dir.path().join("secrets"));
        unheard.write(&id("f").namespace, &"db".parse().unwrap(), b"two").unwrap();
        let (host, store, disk) = (first.host.clone(), first.store.clone(), Arc::clone(&first.dir));
        let second = Platform::boot_on(host, store, disk, Settings::default()).await;
        second.until("it has it", async |p| p.all_hold("f", "db") == ["two"]).await;
        assert_eq!(second.published("f"), before);
    });
}

#[test]
fn a_deleted_secret_stays_with_those_who_have_it_and_is_waited_for_by_those_who_start() {
    simulate(async {
        let platform = Platform::start().await;
        platform.write_secret("db", "one");
        platform.deploy_with("f", &["db"]).await;
        platform.secrets.remove(&id("f").namespace, &"db".parse().unwrap()).unwrap();
        sleep(Duration::from_secs(120)).await;
        assert_eq!(platform.all_hold("f", "db"), ["one"]);
        platform.host.exit(&platform.published("f")[0], Exit::Signal(9));
        platform.until("it waits", async |p| matches!(p.phase("f").await, Some(Phase::BackingOff { .. }))).await;
        let failure = platform.view("f").await.unwrap().status.failure.unwrap();
        assert_eq!(failure.reason, "unable to find secret: db");
        platform.write_secret("db", "two");
        platform.until("it serves", async |p| p.all_hold("f", "db") == ["two"]).await;
    });
}
