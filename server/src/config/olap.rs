//! Where Pinot and Druid are, and who asks them.

use millrace_connectors::olap::{Access, OlapConfig, basic};

/// What the settings say. `get` gives the value of a setting; `brokers` are those of the log.
///
/// # Errors
/// When they do not fit together; one line.
pub fn config<'a>(
    get: impl Fn(&str) -> Option<&'a str>,
    brokers: &str,
) -> Result<OlapConfig, String> {
    let brokers = brokers.to_string();
    let (pinot, druid) = (access(&get, "pinot")?, access(&get, "druid")?);
    Ok(OlapConfig { brokers, pinot, druid })
}

fn access<'a>(get: impl Fn(&str) -> Option<&'a str>, system: &str) -> Result<Access, String> {
    let setting = |name: &str| format!("millrace.{system}.{name}");
    let url = get(&setting("url")).map(|url| url.trim_end_matches('/').to_string());
    let user_info = get(&setting("basic.auth.user.info"));
    let token = get(&setting("bearer.auth.token"));
    if let Some(url) = &url {
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains('@')) {
            return Err(format!("{} is expected as http://host:port", setting("url")));
        }
    }
    let authorization = match (user_info, token) {
        (Some(_), Some(_)) => {
            let (user, token) = (setting("basic.auth.user.info"), setting("bearer.auth.token"));
            return Err(format!("{user} and {token} exclude each other"));
        }
        (Some(user_info), None) if !user_info.contains(':') => {
            return Err(format!(
                "{} is expected as user:password",
                setting("basic.auth.user.info")
            ));
        }
        (Some(user_info), None) => Some(basic(user_info)),
        (None, Some(token)) => Some(format!("Bearer {token}")),
        (None, None) => None,
    };
    if authorization.is_some() && url.is_none() {
        let why = "credentials are sent to one place only";
        return Err(format!("{} is not set: {why}", setting("url")));
    }
    let ca_pem = match get(&setting("tls.ca.file")) {
        None => None,
        Some(file) => Some(std::fs::read_to_string(file).map_err(|e| {
            format!("{} is '{file}', which cannot be read: {e}", setting("tls.ca.file"))
        })?),
    };
    Ok(Access { url, authorization, ca_pem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_make_accesses() {
        let check = |settings: &[(&str, &str)], want: &str| {
            let get = |name: &str| {
                let short = name.strip_prefix("millrace.pinot.").unwrap_or(name);
                settings.iter().find(|(n, _)| *n == short).map(|(_, value)| *value)
            };
            let got = match config(get, "k:9092") {
                Ok(OlapConfig { pinot: Access { url, authorization, .. }, .. }) => {
                    format!("{} {}", url.unwrap_or_default(), authorization.unwrap_or_default())
                }
                Err(why) => why,
            };
            assert!(got.contains(want), "{settings:?}: {got}");
        };
        let (url, basic, token) = ("url", "basic.auth.user.info", "bearer.auth.token");
        check(&[], " ");
        check(&[(url, "http://p:9000/")], "http://p:9000 ");
        check(&[(url, "http://p"), (basic, "u:p")], "http://p Basic dTpw");
        check(&[(url, "http://p"), (token, "t")], "http://p Bearer t");
        check(&[(url, "http://p"), (token, "t"), (basic, "u:p")], "exclude each other");
        check(&[(url, "http://p"), (basic, "u")], "user:password");
        check(&[(basic, "u:p")], "url is not set");
        check(&[(url, "p:9000")], "http://host:port");
        check(&[(url, "http://u:p@h")], "http://host:port");
        check(&[("tls.ca.file", "/nowhere/ca.pem")], "'/nowhere/ca.pem', which cannot be read");
    }
}
