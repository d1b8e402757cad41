//! Session properties that the language depends on.

use std::collections::BTreeMap;

use crate::error::{Result, SqlError};

/// The switch of everything that ksqlDB refuses; `docs/extensions.md` lists it.
pub const EXTENSIONS: &str = "millrace.extensions";

/// How long no record may come before the clock goes on with stream time, in milliseconds.
pub const IDLE_CLOSE: &str = "millrace.window.idle.close.ms";

/// The server's settings overlaid with those of the request, by name.
#[derive(Debug, Clone, Default)]
pub struct Settings(pub BTreeMap<String, String>);

impl From<&BTreeMap<String, String>> for Settings {
    fn from(map: &BTreeMap<String, String>) -> Self {
        Settings(map.clone())
    }
}

impl Settings {
    /// The value of a property; empty values count as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A switch that is `default` unless set to `true` or `false`.
    pub fn is_on(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            Some(value) => value.eq_ignore_ascii_case("true"),
            None => default,
        }
    }

    /// What ksqlDB refuses and its users asked for may be used. A query keeps the answer that it was
    /// made with: the settings are part of its command.
    pub fn extensions(&self) -> bool {
        self.is_on(EXTENSIONS, true)
    }

    /// The value of [`IDLE_CLOSE`], which belongs to the extensions.
    ///
    /// # Errors
    /// What is no positive number of milliseconds, and a value while extensions are off.
    pub(super) fn idle_close_ms(&self) -> Result<Option<i64>> {
        let Some(text) = self.get(IDLE_CLOSE) else { return Ok(None) };
        if !self.extensions() {
            let message = format!("{IDLE_CLOSE} is set, but {EXTENSIONS} is off");
            return Err(SqlError::invalid(message).hint(format!("UNSET '{IDLE_CLOSE}'")));
        }
        match text.trim().parse() {
            Ok(ms) if ms > 0 => Ok(Some(ms)),
            _ => {
                let message = format!("Invalid value '{text}' for property {IDLE_CLOSE}");
                let hint = "give a positive number of milliseconds, or UNSET it";
                Err(SqlError::invalid(message).hint(hint))
            }
        }
    }

    /// Refuses the statement with `message` when the switch is off.
    pub(super) fn require(&self, name: &str, message: &str) -> Result<()> {
        if self.is_on(name, true) {
            return Ok(());
        }
        Err(SqlError::invalid(message).hint(format!("set '{name}'='true' to allow it")))
    }
}
