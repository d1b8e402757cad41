//! Settings of the Kafka client. ksqlDB's are the Java client's; this one is librdkafka, which has
//! most of them by the same name.

use millrace_connectors::kafka::KafkaConfig;
use millrace_engine::api::Properties;

/// Names that the client takes.
pub fn is_client(name: &str) -> bool {
    name == JAAS || KafkaConfig::allowed().any(|allowed| allowed == name)
}

const JAAS: &str = "sasl.jaas.config";

/// Why a setting of the Java client is not taken, when it is one.
pub fn java_only(name: &str) -> Option<&'static str> {
    Some(match name {
        "ssl.truststore.location" | "ssl.truststore.password" | "ssl.truststore.type" => {
            "give the certificates of the brokers' authority as PEM by ssl.ca.location"
        }
        "ssl.keystore.type" | "ssl.keystore.key" | "ssl.keystore.certificate.chain" => {
            "give PKCS#12 by ssl.keystore.location, or PEM by ssl.key.location and \
             ssl.certificate.location"
        }
        _ if ["ssl.", "sasl.", "security."].iter().any(|p| name.starts_with(p)) => {
            "the Kafka client here has no such setting"
        }
        _ => return None,
    })
}

/// The settings as the client wants them: user and password out of JAAS.
///
/// # Errors
/// A JAAS line that names another login module, or no user and password.
pub fn translate(mut settings: Properties) -> Result<Properties, String> {
    let Some(jaas) = settings.remove(JAAS) else { return Ok(settings) };
    let module = jaas.split_whitespace().next().unwrap_or_default();
    if !module.ends_with(".PlainLoginModule") && !module.ends_with(".ScramLoginModule") {
        return Err(format!(
            "{JAAS}: only PlainLoginModule and ScramLoginModule are supported yet"
        ));
    }
    let option = |name: &str| jaas_option(&jaas, name);
    let (Some(user), Some(password)) = (option("username"), option("password")) else {
        return Err(format!("{JAAS}: username=\"...\" and password=\"...\" are expected"));
    };
    settings.entry("sasl.username".to_string()).or_insert(user);
    settings.entry("sasl.password".to_string()).or_insert(password);
    Ok(settings)
}

/// The value of `name="value"`; `\"` stands for a quote.
fn jaas_option(jaas: &str, name: &str) -> Option<String> {
    let mut rest = jaas;
    loop {
        let at = rest.find(name)?;
        let starts_word = rest[..at].chars().next_back().is_none_or(char::is_whitespace);
        rest = &rest[at + name.len()..];
        if !starts_word {
            continue;
        }
        let Some(value) = rest.trim_start().strip_prefix('=') else { continue };
        let mut chars = value.trim_start().strip_prefix('"')?.chars();
        let mut out = String::new();
        loop {
            match chars.next()? {
                '"' => return Some(out),
                '\\' => out.push(chars.next()?),
                c => out.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(jaas: &str, expected: Result<(&str, &str), &str>) {
        let settings = Properties::from([(JAAS.to_string(), jaas.to_string())]);
        match (translate(settings), expected) {
            (Ok(got), Ok((user, password))) => {
                assert_eq!(got["sasl.username"], user);
                assert_eq!(got["sasl.password"], password);
                assert!(!got.contains_key(JAAS));
            }
            (Err(e), Err(part)) => {
                assert!(e.contains(part) && !e.contains("hunter2"), "{e}");
            }
            (got, _) => panic!("{jaas}: {got:?}"),
        }
    }

    #[test]
    fn jaas_lines() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        check(&format!("{plain} username=\"u\" password=\"p\\\"q\";"), Ok(("u", "p\"q")));
        check(
            &format!("{plain} x_username=\"no\"\n username = \"u\" password=\"\";"),
            Ok(("u", "")),
        );
        check(&format!("{plain} username=\"u\" password=hunter2;"), Err("are expected"));
        check("com.example.Kerberos required hunter2;", Err("supported yet"));
        check("", Err("supported yet"));
    }

    #[test]
    fn names_of_the_java_client_are_told() {
        assert!(is_client("ssl.ca.location") && is_client("sasl.mechanism"));
        assert!(!is_client("ssl.truststore.location"));
        assert!(java_only("ssl.truststore.location").is_some());
        assert!(java_only("ksql.service.id").is_none());
    }
}
