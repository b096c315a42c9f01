//! Functions in memory, which answer as they are told: for tests.
//!
//! ```text
//! script(function, [Step::answers(500), Step::answers(200).after(SECOND)])    what is left of it answers 200 at once
//! over(routes): a try takes a real lease first, so that waking, kept down and deletion are those of the engine
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::retry::{Came, Hold};
use super::seam::{Deliver, Delivered, Invoke, Post, Reply, Sending};
use crate::function::FunctionId;
use crate::routes::{NoEndpoint, Routes};
use crate::store::calls::{CallId, Kept};

/// What a function does with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    came: What,
    after: Duration,
    retry_after: Option<Duration>,
    body: Bytes,
    next: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Answers(u16),
    Internal(u16),
    NotTried(Hold),
    Hangs,
    Panics,
}

impl Step {
    fn of(came: What) -> Self {
        Self { came, after: Duration::ZERO, retry_after: None, body: Bytes::new(), next: None }
    }

    /// It answers with this status.
    #[must_use]
    pub fn answers(status: u16) -> Self {
        Self::of(What::Answers(status))
    }

    /// It can't be asked: the proxy answers with this status.
    #[must_use]
    pub fn internal(status: u16) -> Self {
        Self::of(What::Internal(status))
    }

    /// It is not asked, for this reason.
    #[must_use]
    pub fn not_tried(hold: Hold) -> Self {
        Self::of(What::NotTried(hold))
    }

    /// It never answers.
    #[must_use]
    pub fn hangs() -> Self {
        Self::of(What::Hangs)
    }

    /// What sends the call panics.
    #[must_use]
    pub fn panics() -> Self {
        Self::of(What::Panics)
    }

    /// It takes so long.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// It asks to wait so long before the next try.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// It answers this.
    #[must_use]
    pub fn with(self, body: &'static [u8]) -> Self {
        Self { body: Bytes::from_static(body), ..self }
    }

    /// It answers with this `X-Callback-Url`.
    #[must_use]
    pub fn leads_to(self, next: &'static str) -> Self {
        Self { next: Some(next), ..self }
    }
}

/// One try that began.
#[derive(Debug, Clone)]
pub struct Began {
    /// When.
    pub at: Instant,
    /// What was sent.
    pub sent: Sending,
}

#[derive(Default)]
struct World {
    scripts: BTreeMap<FunctionId, VecDeque<Step>>,
    usual: BTreeMap<FunctionId, Step>,
    posts: VecDeque<Delivered>,
    began: Vec<Began>,
    usual_post: Option<Delivered>,
    posted: Vec<(Instant, Post)>,
    posting: usize,
    most_posting: usize,
    in_flight: BTreeMap<FunctionId, usize>,
    most: BTreeMap<FunctionId, usize>,
    answered: Vec<CallId>,
}

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub struct Functions {
    world: Arc<Mutex<World>>,
    routes: Option<Arc<Routes>>,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions").finish_non_exhaustive()
    }
}

impl Functions {
    /// Functions that are always there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Functions whose instances are those that the routes know.
    #[must_use]
    pub fn over(routes: Arc<Routes>) -> Self {
        Self { routes: Some(routes), ..Self::default() }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the function does with its next calls, one after the other.
    pub fn script(&self, function: &FunctionId, steps: impl IntoIterator<Item = Step>) {
        self.world().scripts.entry(function.clone()).or_default().extend(steps);
    }

    /// What it does with all calls that no script says anything of.
    pub fn always(&self, function: &FunctionId, step: Step) {
        self.world().usual.insert(function.clone(), step);
    }

    /// What comes of the next callbacks to elsewhere; after them 200 does.
    pub fn script_posts(&self, came: impl IntoIterator<Item = Delivered>) {
        self.world().posts.extend(came);
    }

    /// What comes of all callbacks to elsewhere that no script says anything of; none: 200.
    pub fn always_posts(&self, came: Option<Delivered>) {
        self.world().usual_post = came;
    }

    /// The most callbacks to elsewhere that were under way at a time.
    #[must_use]
    pub fn most_posting(&self) -> usize {
        self.world().most_posting
    }

    /// Tries that began, in their order.
    #[must_use]
    pub fn began(&self) -> Vec<Began> {
        self.world().began.clone()
    }

    /// Tries of one function, in their order.
    #[must_use]
    pub fn began_of(&self, function: &FunctionId) -> Vec<Began> {
        self.world().began.iter().filter(|one| one.sent.function == *function).cloned().collect()
    }

    /// Callbacks to elsewhere, in their order.
    #[must_use]
    pub fn posted(&self) -> Vec<(Instant, Post)> {
        self.world().posted.clone()
    }

    /// Calls that a function answered, in the order of the answers.
    #[must_use]
    pub fn answered(&self) -> Vec<CallId> {
        self.world().answered.clone()
    }

    /// How many calls are under way to it.
    #[must_use]
    pub fn in_flight(&self, function: &FunctionId) -> usize {
        self.world().in_flight.get(function).copied().unwrap_or(0)
    }

    /// The most that were under way to it at a time.
    #[must_use]
    pub fn most_in_flight(&self, function: &FunctionId) -> usize {
        self.world().most.get(function).copied().unwrap_or(0)
    }
}

/// A call under way; dropping it ends that.
struct InFlight(Functions, FunctionId);

impl InFlight {
    fn begin(functions: &Functions, sent: &Sending) -> (Self, Step) {
        let mut world = functions.world();
        let function = sent.function.clone();
        world.began.push(Began { at: Instant::now(), sent: sent.clone() });
        let count = world.in_flight.entry(function.clone()).or_default();
        *count += 1;
        let count = *count;
        let most = world.most.entry(function.clone()).or_default();
        *most = count.max(*most);
        let usual = world.usual.get(&function).cloned();
        let scripted = world.scripts.get_mut(&function).and_then(VecDeque::pop_front);
        let step = scripted.or(usual).unwrap_or_else(|| Step::answers(200));
        drop(world);
        (Self(functions.clone(), function), step)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut world = self.0.world();
        if let Some(count) = world.in_flight.get_mut(&self.1) {
            *count -= 1;
        }
    }
}

/// A callback under way; dropping it ends that.
struct Posting(Functions);

impl Posting {
    fn begin(functions: &Functions, post: &Post) -> (Self, Delivered) {
        let mut world = functions.world();
        world.posted.push((Instant::now(), post.clone()));
        world.posting += 1;
        world.most_posting = world.most_posting.max(world.posting);
        let usual =
            || Delivered::Came { came: Came::Answered { status: 200, retry_after: None }, took: Duration::ZERO };
        let came = world.posts.pop_front().or_else(|| world.usual_post.clone()).unwrap_or_else(usual);
        drop(world);
        (Self(functions.clone()), came)
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        self.0.world().posting -= 1;
    }
}

fn not_sent(came: Came) -> Reply {
    Reply { came, answer: None, took: Duration::ZERO, held: None }
}

#[async_trait]
impl Invoke for Functions {
    #[expect(clippy::panic, reason = "a script asks for it")]
    async fn invoke(&self, call: &Sending) -> Reply {
        let mut lease = None;
        if let Some(routes) = &self.routes {
            match routes.lease(&call.function).await {
                Ok(taken) => lease = Some(taken),
                Err(NoEndpoint::Unknown(_)) => return not_sent(Came::NotTried(Hold::Gone)),
                Err(NoEndpoint::KeptDown(_)) => return not_sent(Came::NotTried(Hold::KeptDown)),
                Err(why) => {
                    let retry_after = why.retry_after();
                    return not_sent(Came::Internal { status: 503, retry_after, reason: why.to_string() });
                }
            }
        }
        let (in_flight, step) = InFlight::begin(self, call);
        sleep(step.after).await;
        let (status, is_internal) = match step.came {
            What::Answers(status) => (status, false),
            What::Internal(status) => (status, true),
            What::NotTried(hold) => return not_sent(Came::NotTried(hold)),
            What::Hangs => std::future::pending().await,
            What::Panics => panic!("as the script says"),
        };
        if is_internal {
            let reason = "as the script says".to_owned();
            return not_sent(Came::Internal { status, retry_after: step.retry_after, reason });
        }
        self.world().answered.push(call.id);
        let body = step.body.slice(..step.body.len().min(call.keep));
        let mut head =
            vec![("content-type".to_owned(), b"text/plain".to_vec()), ("set-cookie".to_owned(), b"a=b".to_vec())];
        head.extend(step.next.map(|next| ("x-callback-url".to_owned(), next.as_bytes().to_vec())));
        let answer = Kept { status, head, total: step.body.len() as u64, body };
        let came = Came::Answered { status, retry_after: step.retry_after };
        Reply { came, answer: Some(answer), took: step.after, held: Some(Box::new((in_flight, lease))) }
    }
}

#[async_trait]
impl Deliver for Functions {
    async fn deliver(&self, post: &Post) -> Delivered {
        let (_posting, came) = Posting::begin(self, post);
        if let Delivered::Came { took, .. } = &came {
            sleep(*took).await;
        }
        came
    }
}
