//! What a deletion means.

use actord::engine::Refused;
use actord::function::{Generation, Namespace};
use actord::routes::NoEndpoint;

use crate::fixture::{create, delete, desired, get, id, names, served, serves};
use crate::subject::{Kind, Subject};

pub async fn a_deletion_frees_the_name_at_once<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let old = s.routes().published(&id("f"));
    delete(s, "f").await;
    assert_eq!(get(s, "f").await, None);
    assert_eq!(names(s, &Namespace::default()).await, [""; 0]);
    assert!(matches!(s.routes().lease(&id("f")).await, Err(NoEndpoint::Unknown(_))), "no request reaches it");
    create(s, "f", Kind::HelloAgain).await.unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!(desired(&status).spec.image, s.image(Kind::HelloAgain));
    assert!(desired(&status).generation >= Generation(1));
    assert!(s.routes().published(&id("f")).iter().all(|instance| !old.contains(instance)), "an id is never used again");
}

pub async fn a_deletion_of_what_is_not_there_is_refused<S: Subject>(s: &mut S) {
    let missing = Err(Refused::NotFound(id("f")));
    assert_eq!(s.engine().delete(&id("f")).await, missing);
    served(s, "f").await;
    delete(s, "f").await;
    assert_eq!(s.engine().delete(&id("f")).await, missing);
}

pub async fn what_was_deleted_is_gone_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    served(s, "g").await;
    delete(s, "f").await;
    s.restart().await;
    assert_eq!(names(s, &Namespace::default()).await, ["g"]);
    assert_eq!(s.routes().published(&id("f")), []);
    serves(s, "g", 1).await;
}
