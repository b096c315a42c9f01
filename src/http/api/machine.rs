//! `/system/machine`: what functions run on. Whoever put the rooms together knows how to look.

use actix_web::HttpResponse;
use actix_web::http::header;
use async_trait::async_trait;

use super::request::{Answer, Context, answer};
use crate::wire::MachineView;

/// Looks at the machine.
#[async_trait]
pub trait Machine: Send + Sync {
    /// The machine, as it was found a moment ago.
    async fn look(&self) -> MachineView;
}

/// One that never changes.
#[async_trait]
impl Machine for MachineView {
    async fn look(&self) -> MachineView {
        self.clone()
    }
}

/// The machine, its disks and memory, and what `actord doctor` finds
///
/// It is looked at once in ten seconds at most.
#[utoipa::path(get, path = "/system/machine", operation_id = "machine", tag = "system", responses(
    (status = 200, description = "The machine", body = MachineView),
))]
pub(super) async fn show((services, settings): Context) -> Answer {
    let machine = answer(settings.answer_timeout, services.machine.look()).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(machine))
}
