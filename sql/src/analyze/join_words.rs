//! How errors about joins call windows.

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
