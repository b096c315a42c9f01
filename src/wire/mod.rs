//! The types of the REST API, one set for the server, its document and the client: read leniently, written exactly.
//!
//! ```text
//! body -> lenient (key case, null) -> a type of this room -> function::Spec      what is sent
//! function::Spec -> a type of this room -> JSON                                  what is answered
//! ```
//! A new field of a spec goes into [`SpecDraft`](crate::function::SpecDraft) and into `function`, where the compiler asks
//! for it; stack files and the client's views follow from these.

mod alert;
mod calls;
mod events;
mod function;
mod function_label;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod history;
mod info;
mod instances;
mod invoke;
mod lenient;
mod log;
mod machine;
mod namespace;
mod requests;
mod resources;
mod schedules;
mod session;
mod tokens;

pub use alert::{Alert, AlertLabels, Alerts};
pub use calls::{Call, CallAnswer, CallAttempt, CallPage, CallSummary, FunctionQueue, PurgedCalls, ShownHeader};
pub use events::{EventData, FunctionLoad, Step};
pub use function::{FunctionDeployment, FunctionStatus, KeptGeneration, Lifecycle, NextTier, Refusal, Usage};
pub use function_label::FUNCTION_LABEL;
pub use history::{CallsOfFunction, FunctionHistory, NamespaceHistory};
pub use info::{GatewayInfo, Info, ProviderInfo, Version};
pub use instances::ListedInstance;
pub use invoke::{InvokeAnswer, InvokeRequest};
pub use lenient::{read, read_value};
pub use log::LogMessage;
pub use machine::{DiskView, FindingView, ImagesView, MachineView, MemoryView};
pub use namespace::FunctionNamespace;
pub use requests::{
    DeleteFunctionRequest, DeleteSecretRequest, ListedSecret, RollbackRequest, ScaleServiceRequest, Secret,
};
pub use resources::FunctionResources;
pub use schedules::ListedSchedule;
pub use session::{BegunSession, WhoAsks};
pub use tokens::{CreateTokenRequest, ListedToken, MadeToken, RotatedPassword};

#[cfg(test)]
mod tests;
