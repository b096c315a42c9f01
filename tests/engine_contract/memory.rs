//! The contract's subject without a machine.

use std::sync::Arc;

use actord::engine::{Engine, Logs, Namespaces, Secrets};
use actord::routes::{Lease, Parking, Routes};
use jiff::Timestamp;

use crate::memory_engine::{Image, MemoryEngine};
use crate::subject::{Kind, Subject};

pub struct Memory {
    engine: MemoryEngine,
    routes: Arc<Routes>,
}

pub async fn run(case: impl AsyncFnOnce(&mut Memory)) {
    let routes = routes();
    let mut memory = Memory { engine: MemoryEngine::of(image, Some(routes.clone()), Timestamp::now), routes };
    case(&mut memory).await;
}

fn routes() -> Arc<Routes> {
    Arc::new(Routes::new(Parking::default()))
}

fn image(reference: &str) -> Image {
    match reference {
        "EndsAtOnce" => Image::Ends("it ends at once, with code 7".to_owned()),
        "FindsNoCommand" => Image::Fails("it finds no command".to_owned()),
        "Unrunnable" => Image::Fails("there is no program in it".to_owned()),
        "Unknown" => Image::Fails("there is no such image".to_owned()),
        "Hangs" => Image::Hangs,
        _ => Image::Runs(vec!["hello".to_owned(), "second line".to_owned()]),
    }
}

impl Subject for Memory {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.engine.clone())
    }

    fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(self.engine.clone())
    }

    fn namespaces(&self) -> Arc<dyn Namespaces> {
        Arc::new(self.engine.clone())
    }

    fn logs(&self) -> Arc<dyn Logs> {
        Arc::new(self.engine.clone())
    }

    fn routes(&self) -> Arc<Routes> {
        self.routes.clone()
    }

    fn image(&self, kind: Kind) -> String {
        format!("{kind:?}")
    }

    async fn answers(&self, lease: &Lease) -> bool {
        let all = self.routes.all();
        all.iter().any(|entry| self.routes.published(entry.function()).contains(lease.instance()))
    }

    async fn restart(&mut self) {
        self.routes = routes();
        self.engine = self.engine.clone().restart(Some(self.routes.clone()));
    }
}
