//! What the engine of one machine is asked at the end of a case, so that nothing is left.

use crate::fixture::delete;
use crate::subject::Subject;

/// Deletes every function.
pub async fn clean<S: Subject>(s: &S) {
    for namespace in s.namespaces().list().await.unwrap() {
        for view in s.engine().list(&namespace).await.unwrap() {
            delete(s, &view.id.to_string()).await;
        }
    }
}
