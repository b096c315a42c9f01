//! What a client may believe of a function: a request that was answered with success has happened; one that was not
//! answered may have.

use serde_json::{Value, json};

use crate::actord::{Api, HELLO_1, HELLO_2};

/// One function, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) version: u8,
    /// Told apart from every other deployment of the name.
    pub(crate) number: u64,
    pub(crate) replicas: u64,
}

/// What a function may be now; none is "not there".
#[derive(Debug, Clone)]
pub(crate) struct Belief(pub(crate) Vec<Option<Wish>>);

/// Something to ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Create { version: u8, number: u64 },
    Update { version: u8, number: u64 },
    Scale(u64),
    Delete,
}

impl Wish {
    /// What the API shows of a function.
    pub(crate) fn shown(function: &Value) -> Self {
        Self {
            version: if function["image"] == HELLO_2 { 2 } else { 1 },
            number: function["envVars"]["N"].as_str().unwrap().parse().unwrap(),
            replicas: function["replicas"].as_u64().unwrap_or(0),
        }
    }
}

impl Order {
    /// What comes of it if it is obeyed; none if it has to be refused.
    fn obeyed(self, before: &Option<Wish>) -> Option<Option<Wish>> {
        match (self, before) {
            (Self::Create { version, number }, None) => Some(Some(Wish { version, number, replicas: 1 })),
            (Self::Update { version, number }, Some(before)) => {
                Some(Some(Wish { version, number, replicas: before.replicas.max(1) }))
            }
            (Self::Scale(replicas), Some(before)) => Some(Some(Wish { replicas, ..before.clone() })),
            (Self::Delete, Some(_)) => Some(None),
            _ => None,
        }
    }

    async fn send(self, name: &str, annotations: &Value, api: &Api) -> std::io::Result<(u16, String)> {
        let deployment = |version, number: u64| {
            let image = if version == 1 { HELLO_1 } else { HELLO_2 };
            let env_vars = json!({ "N": number.to_string() });
            json!({ "service": name, "image": image, "envVars": env_vars, "annotations": annotations })
        };
        let functions = "/system/functions";
        let answer = match self {
            Self::Create { version, number } => api.system("POST", functions, &deployment(version, number)).await,
            Self::Update { version, number } => api.system("PUT", functions, &deployment(version, number)).await,
            Self::Delete => api.system("DELETE", functions, &json!({ "functionName": name })).await,
            Self::Scale(replicas) => {
                let body = json!({ "serviceName": name, "replicas": replicas });
                api.system("POST", &format!("/system/scale-function/{name}"), &body).await
            }
        };
        answer.map(|answer| (answer.status, answer.text()))
    }
}

impl Belief {
    /// Gives an order, with these annotations where it deploys, and learns from the answer. An answer that no client should get is an error.
    pub(crate) async fn give(
        &mut self,
        order: Order,
        name: &str,
        annotations: &Value,
        api: &Api,
    ) -> Result<(), String> {
        let after: Vec<_> = self.0.iter().filter_map(|before| order.obeyed(before)).collect();
        match order.send(name, annotations, api).await {
            Ok((202, _)) => self.0 = after,
            Ok((404, _)) => self.0.retain(Option::is_none),
            Ok((409, _)) => self.0.retain(Option::is_some),
            // Not answered, or told to look and try again.
            Err(_) | Ok((503, _)) => self.0.extend(after),
            Ok((status, text)) => {
                self.0.extend(after);
                return Err(format!("{name}: {order:?} was answered with {status}: {text}"));
            }
        }
        if self.0.is_empty() {
            return Err(format!("{name}: {order:?} had an answer that contradicts what was answered before"));
        }
        Ok(())
    }
}
