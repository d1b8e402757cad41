//! How errors about joins call windows, and what they advise about keys.

use super::scope::Input;
use crate::catalog::KeyWindow;

pub(super) fn is_session(window: KeyWindow) -> bool {
    window == KeyWindow::Session
}

pub(super) fn window_name(window: KeyWindow) -> &'static str {
    match window {
        KeyWindow::Session => "SESSION",
        KeyWindow::Time { hopping: true, .. } => "HOPPING",
        KeyWindow::Time { hopping: false, .. } => "TUMBLING",
    }
}

pub(super) fn windowed(window: Option<KeyWindow>) -> String {
    window.map_or("not windowed".to_string(), |w| format!("{} windowed", window_name(w)))
}

/// What to do about a table whose key no single expression can name.
pub(super) fn several_keys(table: &Input) -> Option<String> {
    let keys: Vec<&str> = table.source.key_columns().map(|key| key.name.as_str()).collect();
    (keys.len() > 1).then(|| {
        format!(
            "rows meet by one expression, and the key of {} is {}: keep a table with one key, e.g. \
             GROUP BY CAST({} AS STRING) || '/' || CAST({} AS STRING), and join on that; a pull \
             query (without EMIT) joins on all columns",
            table.source.name,
            keys.join(", "),
            keys[0],
            keys[1],
        )
    })
}

/// What is said of WITHIN where no streams are joined.
pub(super) fn no_window(shape: &str) -> String {
    // ksqlDB's words differ in these, too.
    let (that_is, join) = match shape {
        "Table-Table" => ("i.e.", "Table-Table join"),
        _ => ("ie.", "join"),
    };
    format!(
        "A window definition was provided for a {shape} join. These joins are not windowed. Please \
         drop the window definition ({that_is} the WITHIN clause) and try to execute your {join} \
         again."
    )
}
