//! Archives are imported before the actors begin: the one call of the host that none of them makes.

use std::time::Duration;

use actord::actors::Settings;
use actord::daemon::preload::import_before_start;
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::{sleep, timeout};

use crate::check::differences;
use crate::life::World;

/// What goes wrong, and whether before or after the images are there.
fn faults() -> Vec<(Fault, bool)> {
    let kinds = [Fault::Error(HostError::Failed("a scripted fault".into())), Fault::Hang, Fault::Panic, Fault::Halt];
    kinds.into_iter().flat_map(|kind| [(kind.clone(), false), (kind, true)]).collect()
}

#[test]
fn an_import_that_goes_wrong_keeps_no_function_from_serving_and_is_done_at_the_next_start() {
    crate::matrix::hush();
    let mut passed = 0;
    for (fault, after) in faults() {
        let world = World::new(Settings::default());
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("images.tar");
        std::fs::write(&archive, "stands for one").unwrap();
        world.host.add_archive(&archive, [("own:1".to_owned(), Behaviour::new())]);
        world.live(async |platform| platform.deploy("b", "good:3").await.unwrap());
        let before = world.host.running();
        let import =
            || import_before_start(world.host.host().images, directory.path().to_owned(), Duration::from_secs(1800));

        let rule = Rule::on(Method::ImagesImport, fault.clone());
        world.host.fault(if after { rule.after_effect() } else { rule });
        let began = world.live(async |platform| {
            timeout(Duration::from_secs(61), import()).await.expect("the start goes on");
            sleep(Duration::from_secs(10)).await;
            differences(platform).await
        });
        assert_eq!(began, (fault != Fault::Halt).then(Vec::new), "{fault:?}, after {after}");

        let next = world.live(async |platform| {
            import().await;
            platform.deploy("f", "own:1").await.unwrap();
            sleep(Duration::from_secs(10)).await;
            differences(platform).await
        });
        assert_eq!(next, Some(Vec::new()), "{fault:?}, after {after}");
        assert!(world.host.running().is_superset(&before), "{fault:?}, after {after}: what ran was touched");
        passed += 1;
    }
    println!("imports: {} cells, {passed} passed", faults().len());
}
