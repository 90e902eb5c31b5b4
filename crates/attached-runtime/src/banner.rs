//! The one line that says that an application is ready.

use std::ffi::OsString;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;

/// Where an application is served, with the real ports.
///
/// Written out it is the line `ready http=… ws=… metrics=…`; a part that is not there is a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Addresses {
    /// The HTTP server.
    pub http: Option<SocketAddr>,
    /// The WebSocket server's own port.
    pub ws: Option<SocketAddr>,
    /// The metrics listener.
    pub metrics: Option<SocketAddr>,
}

impl Addresses {
    /// Addresses of servers that were started one by one.
    pub fn new(http: Option<SocketAddr>, ws: Option<SocketAddr>, metrics: Option<SocketAddr>) -> Self {
        Self { http, ws, metrics }
    }

    /// Writes the line on standard error, in colour only on a terminal and only without `NO_COLOR`.
    pub fn announce(&self) {
        let mut out = std::io::stderr().lock();
        let colour = wants_colour(out.is_terminal(), std::env::var_os("NO_COLOR"));
        // Nobody can be told that standard error is closed.
        let _ = writeln!(out, "{}", self.line(colour));
    }

    fn line(&self, colour: bool) -> String {
        match colour {
            true => format!("\u{1b}[32;1mready\u{1b}[0m{}", self.places()),
            false => format!("ready{}", self.places()),
        }
    }

    fn places(&self) -> String {
        let place = |address: Option<SocketAddr>| address.map_or_else(|| "-".to_owned(), |at| at.to_string());
        format!(
            " http={} ws={} metrics={}",
            place(self.http),
            place(self.ws),
            place(self.metrics)
        )
    }
}

/// Colours are for terminals, and for people who did not ask to be spared them (`NO_COLOR`, any value but empty).
fn wants_colour(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

impl fmt::Display for Addresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.line(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_plain_and_names_what_is_missing() {
        let http = Some(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let addresses = Addresses::new(http, None, None);
        assert_eq!(addresses.to_string(), "ready http=127.0.0.1:8080 ws=- metrics=-");
        assert!(addresses.line(true).contains('\u{1b}'));
        assert!(!addresses.line(false).contains('\u{1b}'));
    }

    #[test]
    fn colours_are_for_terminals_and_no_color_is_obeyed() {
        assert!(wants_colour(true, None));
        assert!(wants_colour(true, Some(OsString::new())));
        assert!(!wants_colour(true, Some("1".into())));
        assert!(!wants_colour(false, None));
    }
}
