//! A call that is stuck holds up the function that it is for, and nobody else.

use std::time::Duration;

use actord::function::Phase;
use actord::host::fake::{Fault, Method, Rule};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::platform::{Platform, simulate};

/// Functions that are stuck: more than may be started, attached or pulled side by side.
const STUCK: usize = 12;

#[test]
fn however_many_functions_are_stuck_another_one_is_soon_served() {
    let methods = [
        Method::ImagesEnsure,
        Method::NetworkAttach,
        Method::RuntimeCreate,
        Method::RuntimeStart,
        Method::ProbeAsk,
        Method::NetworkDetach,
        Method::RuntimeRemove,
    ];
    for method in methods {
        simulate(async {
            let platform = Platform::start().await;
            let names: Vec<String> = (0..STUCK).map(|number| format!("stuck{number}")).collect();
            let ends = matches!(method, Method::NetworkDetach | Method::RuntimeRemove);
            let image = |number| format!("own:{number}");
            for number in 0..STUCK {
                platform.host.publish_image(&image(number), actord::host::fake::Behaviour::new());
            }
            if ends {
                for name in &names {
                    platform.deploy(name, "good:1").await.unwrap();
                }
            }
            for (number, name) in names.iter().enumerate() {
                let rule = Rule::on(method, Fault::Hang).always();
                let rule = match method {
                    Method::ImagesEnsure => rule.only_image(&image(number)),
                    _ => rule.only_function(&name.parse().unwrap()),
                };
                platform.host.fault(rule);
            }
            let stuck = join_all(names.iter().enumerate().map(async |(number, name)| {
                if ends {
                    platform.delete(name).await.unwrap();
                } else {
                    let _ = platform.deploy(name, &image(number)).await;
                }
            }));
            let healthy = async {
                platform.host.called(method, if ends { 2 } else { 1 }).await;
                let began = Instant::now();
                platform.deploy("healthy", "good:2").await.unwrap();
                platform.until("it serves", async |p| p.phase("healthy").await == Some(Phase::Ready)).await;
                let first = began.elapsed();
                platform.update("healthy", "good:3").await.unwrap();
                platform.delete("healthy").await.unwrap();
                platform
                    .until("it is gone", async |p| {
                        p.host.running().iter().all(|id| !id.as_str().starts_with("healthy"))
                    })
                    .await;
                (first, began.elapsed())
            };
            let (_, (first, all)) = futures_util::join!(stuck, healthy);
            println!(
                "{STUCK} stuck in {method:?}: another one serves after {first:?}, is updated and gone after {all:?}"
            );
            let patience = if method == Method::ImagesEnsure { 20 } else { 5 };
            assert!(first < Duration::from_secs(4 * patience + 1), "{method:?}: {first:?}");
        });
    }
}
