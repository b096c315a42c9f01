//! The credentials for a gateway: its own data directory when that is here and readable, else what `faas-cli login` kept.

use std::path::Path;
use std::{fs, io};

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::{ClientError, url};
use crate::credentials::Credentials;

/// What is sent as `Authorization`, and where it was found.
pub(super) struct Login {
    pub(super) header: Option<HeaderValue>,
    /// For the person whose credentials were refused.
    pub(super) from: String,
}

/// `config.yml` of `faas-cli`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    auths: Option<Vec<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    gateway: Option<String>,
    auth: Option<String>,
    token: Option<String>,
}

impl Login {
    /// Looks for the credentials of a gateway. Those in its URL come first; none at all is no error.
    pub(super) fn find(gateway: &Url, data_dir: &Path, config: Option<&Path>) -> Result<Self, ClientError> {
        if !gateway.username().is_empty() {
            let decoded = |text: &str| percent_decoded(text);
            let user = decoded(gateway.username());
            let password = decoded(gateway.password().unwrap_or_default());
            let header = header(&Credentials { user, password }.authorization())?;
            return Ok(Self { header: Some(header), from: "the gateway's URL".to_owned() });
        }
        let auth = data_dir.join("auth");
        if url::is_loopback(gateway)
            && let Some(credentials) = Credentials::read(&auth)
        {
            return Ok(Self { header: Some(header(&credentials.authorization())?), from: auth.display().to_string() });
        }
        match config {
            Some(path) => Ok(Self { header: saved(path, gateway)?, from: path.display().to_string() }),
            None => Ok(Self { header: None, from: "nowhere".to_owned() }),
        }
    }
}

/// What `faas-cli` saved for this gateway.
fn saved(path: &Path, gateway: &Url) -> Result<Option<HeaderValue>, ClientError> {
    let wrong = |reason: String| ClientError::Local(format!("{}: {reason}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("can't read it: {error}"))),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let file: ConfigFile =
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| wrong(error.to_string()))?;
    let wanted = url::normal(gateway.as_str());
    let matches = |entry: &Entry| entry.gateway.as_deref().is_some_and(|named| url::normal(named) == wanted);
    let Some(entry) = file.auths.unwrap_or_default().into_iter().find(matches) else { return Ok(None) };
    let token = entry.token.unwrap_or_default();
    let scheme = match entry.auth.as_deref().unwrap_or("basic") {
        "basic" => "Basic",
        "oauth2" | "bearer" => "Bearer",
        other => return Err(wrong(format!("auth {other:?} of {wanted} is not known: log in to it again"))),
    };
    header(&format!("{scheme} {}", token.trim())).map(Some)
}

fn header(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| ClientError::Local("the saved token is no text for a header: log in again".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The name and password of a URL are written with %XX.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match code {
            Some(code) if *first == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const FILE: &str = "auths:\n- gateway: http://127.0.0.1:8080\n  auth: basic\n  token: YWRtaW46c2VjcmV0LXB3\n\
                        - gateway: https://Cloud.example.com/\n  auth: oauth2\n  token: a.b.c\n  options: []\n\
                        - gateway: http://odd\n  auth: magic\n";

    fn find(gateway: &str, data_dir: &Path, config: &Path) -> Result<Option<String>, ClientError> {
        let login = Login::find(&url::parse(gateway).unwrap(), data_dir, Some(config))?;
        Ok(login.header.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn what_faas_cli_saved_is_found_by_gateway() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.yml");
        fs::write(&config, FILE).unwrap();
        let find = |gateway| find(gateway, home.path(), &config);
        assert_eq!(find("http://127.0.0.1:8080/").unwrap().unwrap(), "Basic YWRtaW46c2VjcmV0LXB3");
        assert_eq!(find("https://cloud.example.com").unwrap().unwrap(), "Bearer a.b.c");
        assert_eq!(find("http://127.0.0.1:9090").unwrap(), None);
        assert!(find("http://odd").unwrap_err().to_string().contains("magic"));
        fs::write(&config, "auths: {").unwrap();
        assert!(find("http://odd").unwrap_err().to_string().contains("config.yml"));
        for empty in ["", "auths: []\n", "auths:\n"] {
            fs::write(&config, empty).unwrap();
            assert_eq!(find("http://odd").unwrap(), None);
        }
        fs::remove_file(&config).unwrap();
        assert_eq!(find("http://odd").unwrap(), None);
    }

    #[test]
    fn the_data_directory_is_for_this_machines_gateways_alone() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("auth")).unwrap();
        fs::write(home.path().join("auth/basic-auth-user"), "anna\n").unwrap();
        fs::write(home.path().join("auth/basic-auth-password"), "pw\n").unwrap();
        let config = home.path().join("config.yml");
        fs::write(&config, FILE).unwrap();
        let find = |gateway| find(gateway, home.path(), &config).unwrap();
        assert_eq!(find("http://localhost:8080").unwrap(), format!("Basic {}", STANDARD.encode("anna:pw")));
        assert_eq!(find("http://127.0.0.1:8080").unwrap(), format!("Basic {}", STANDARD.encode("anna:pw")));
        assert_eq!(find("https://cloud.example.com").unwrap(), "Bearer a.b.c");
        assert_eq!(find("http://10.0.0.1:8080"), None);
    }

    #[test]
    fn credentials_in_the_url_come_first() {
        let home = tempfile::tempdir().unwrap();
        let found = find("http://me:p%40ss%zz@10.0.0.1", home.path(), &home.path().join("none")).unwrap();
        assert_eq!(found.unwrap(), format!("Basic {}", STANDARD.encode("me:p@ss%zz")));
    }
}
