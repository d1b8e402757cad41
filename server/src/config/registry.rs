//! Where the schema registry is, and who asks it.

use millrace_connectors::registry::{Credentials, RegistryConfig};

use super::known;

/// The registry that the settings name. `get` gives the value of a setting.
///
/// # Errors
/// When they do not fit together; one line.
pub fn config<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Option<RegistryConfig>, String> {
    let Some(list) = get("ksql.schema.registry.url") else { return Ok(None) };
    let list = list.split(',').map(str::trim).filter(|url| !url.is_empty());
    let mut urls = Vec::new();
    let mut in_url = None;
    for url in list {
        let (url, credentials) = split_url(url)?;
        in_url = in_url.or(credentials);
        urls.push(url);
    }
    let user_info = get("ksql.schema.registry.basic.auth.user.info").map(user_info).transpose()?;
    let credentials = match get("ksql.schema.registry.basic.auth.credentials.source") {
        Some("URL") => in_url,
        Some(_) if user_info.is_none() => {
            return Err("ksql.schema.registry.basic.auth.credentials.source is USER_INFO, but \
                        ksql.schema.registry.basic.auth.user.info is not set"
                .to_string());
        }
        _ => user_info.or(in_url),
    };
    Ok(Some(RegistryConfig { urls, credentials }))
}

/// A URL without the user in it, and the user.
fn split_url(url: &str) -> Result<(String, Option<Credentials>), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        let shown = known::without_users(url);
        return Err(format!("ksql.schema.registry.url is '{shown}', expected http://host:port"));
    };
    if scheme != "http" && scheme != "https" {
        return Err(format!("ksql.schema.registry.url has the scheme {scheme}, expected http"));
    }
    let host_end = rest.find('/').unwrap_or(rest.len());
    if rest[host_end..].contains('@') {
        // Else a password with a '/' would be taken for a path, and be shown as one.
        return Err("ksql.schema.registry.url has a '@' behind a '/'; give the user by \
                    ksql.schema.registry.basic.auth.user.info"
            .to_string());
    }
    let Some((user, _)) = rest[..host_end].rsplit_once('@') else {
        return Ok((url.to_string(), None));
    };
    let host = &rest[user.len() + 1..];
    Ok((format!("{scheme}://{host}"), Some(user_info(user)?)))
}

fn user_info(text: &str) -> Result<Credentials, String> {
    match text.split_once(':') {
        Some((user, password)) => {
            Ok(Credentials { user: user.to_string(), password: password.to_string() })
        }
        None => Err("the user of the schema registry is expected as user:password".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_make_a_registry() {
        let check = |settings: &[(&str, &str)], want: &str| {
            let get = |name: &str| {
                let short = name.strip_prefix("ksql.schema.registry.").unwrap_or(name);
                settings.iter().find(|(n, _)| *n == short).map(|(_, value)| *value)
            };
            let got = match config(get) {
                Ok(None) => "none".to_string(),
                Ok(Some(RegistryConfig { urls, credentials })) => {
                    let user = credentials
                        .map_or("-".to_string(), |c| format!("{}/{}", c.user, c.password));
                    format!("{} {user}", urls.join(" "))
                }
                Err(why) => why,
            };
            assert!(got.contains(want), "{settings:?}: {got}");
        };
        let source = "basic.auth.credentials.source";
        let info = "basic.auth.user.info";
        check(&[], "none");
        check(&[("url", "http://a:1, http://b:2")], "http://a:1 http://b:2 -");
        check(&[("url", "http://u:p@a:1/x")], "http://a:1/x u/p");
        check(&[("url", "http://a:1"), (info, "u:p:q")], "http://a:1 u/p:q");
        check(&[("url", "http://v:w@a"), (source, "URL"), (info, "u:p")], "http://a v/w");
        check(&[("url", "http://a"), (source, "USER_INFO")], "user.info is not set");
        check(&[("url", "http://a"), (info, "u")], "user:password");
        check(&[("url", "a:8081")], "expected http://");
        check(&[("url", "u:p@a:8081")], "is '[hidden]@a:8081', expected http://");
        check(&[("url", "http://u:p/q@a")], "has a '@' behind a '/'");
        check(&[("url", "ftp://a")], "scheme ftp");
    }
}
