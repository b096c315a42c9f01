//! What is asked of the file, off the async workers. Who asks waits for no commit.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::blocking;
use super::loader::{Load, Reader};
use super::{
    CallId, Calls, Filter, FiredRow, Head, Heads, LaneId, ListError, Loaded, Page, Seq, StoreError, fired, pages, read,
};
use crate::function::Namespace;

impl Calls {
    /// The calls of a lane after `after` that are due by `until`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn heads(&self, lane: LaneId, after: Option<Head>, until: i64) -> Result<Heads, StoreError> {
        self.read(Reader::Dispatch, move |db| read::heads(db, lane, after, until)).await
    }

    /// The first call that waits in a lane, whenever it is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn oldest(&self, lane: LaneId) -> Result<Option<Head>, StoreError> {
        self.read(Reader::People, move |db| read::oldest(db, lane)).await
    }

    /// A call with what it takes to do what is next for it; none if it does not wait any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, seq: Seq) -> Result<Option<Loaded>, StoreError> {
        let (found, loaded) = oneshot::channel();
        if self.0.loads.send(Load { seq, found }).is_err() {
            return Err(self.closed());
        }
        loaded.await.unwrap_or_else(|_| Err(StoreError::Failed("what reads calls was lost".into())))
    }

    /// The soonest deadline of a call that waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn soonest_deadline(&self) -> Result<Option<i64>, StoreError> {
        self.read(Reader::Dispatch, read::soonest_deadline).await
    }

    /// Some of the calls that wait although their deadline has passed, each with the lane of its function.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overdue(&self, until: i64) -> Result<Vec<(Seq, LaneId)>, StoreError> {
        self.read(Reader::Dispatch, move |db| read::overdue(db, until)).await
    }

    /// A call with all that is kept of it, whatever became of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_id(&self, id: CallId) -> Result<Option<Loaded>, StoreError> {
        self.read(Reader::People, move |db| read::by_id(db, id)).await
    }

    /// Our ids of the calls that have this id of a caller's, of functions in namespaces that are reached, the newest first; eleven at
    /// most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_caller_id(
        &self,
        id: &str,
        reaches: impl Fn(&Namespace) -> bool + Send + 'static,
    ) -> Result<Vec<CallId>, StoreError> {
        let id = id.to_owned();
        self.read(Reader::People, move |db| read::by_caller_id(db, &id, &reaches)).await
    }

    /// A page of calls, the newest first.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn page(&self, filter: Filter) -> Result<Page, ListError> {
        let function = filter.function.as_ref().and_then(|id| self.function(id)).map(|lane| lane.id);
        let page = self.read(Reader::People, move |db| match pages::page(db, &filter, function) {
            Err(ListError::Store(error)) => Err(error),
            page => Ok(page),
        });
        page.await?
    }

    /// A page of these calls, as far as they wait or are under way, the newest first.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn among(&self, filter: Filter, seqs: Vec<Seq>) -> Result<Page, ListError> {
        let page = self.read(Reader::People, move |db| match pages::among(db, &filter, seqs) {
            Err(ListError::Store(error)) => Err(error),
            page => Ok(page),
        });
        page.await?
    }

    /// What is known of schedules.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fired(&self) -> Result<Vec<FiredRow>, StoreError> {
        self.read(Reader::People, fired::all).await
    }

    async fn read<T: Send + 'static>(
        &self,
        reader: Reader,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.0.readers.clone();
        // Of many who ask one reader only one goes on: the others would each hold a thread meanwhile.
        let turn = self.0.turns[reader as usize].clone().acquire_owned().await;
        let read = blocking(move || {
            let _turn = turn;
            readers.read(reader, act)
        });
        let read = read.await;
        if let Err(StoreError::Damaged(_)) = &read {
            self.0.shared.give_up();
        }
        read
    }
}
