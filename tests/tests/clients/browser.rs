//! A headless Chromium over TLS: a page, and a session of it on each port.

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use http::Version;
use tempfile::TempDir;
use workspace_tests::chromium;
use workspace_tests::observe::skipped;

use crate::scene::Scene;

/// A browser takes its time to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser that shows one page. It ends when dropped.
struct Browser {
    child: Child,
    _profile: TempDir,
}

impl Browser {
    /// Trusts the certificate with this pin, whoever has signed it.
    fn show(executable: PathBuf, url: &str, pin: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let child = chromium::command(executable, profile.path())
            .arg("--host-resolver-rules=MAP localhost 127.0.0.1")
            .arg(format!("--ignore-certificate-errors-spki-list={pin}"))
            .arg(url)
            .spawn()
            .expect("the browser starts");
        Self {
            child,
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_page_over_tls_talks_on_one_port_and_on_the_other() {
    let Some(executable) = chromium::executable() else {
        return skipped("no Chromium is installed");
    };
    let scene = Scene::secure();
    let pin = &scene.certificate.as_ref().expect("it speaks TLS").pin;
    let url = format!("https://localhost:{}/page", scene.http().port());
    let _browser = Browser::show(executable, &url, pin);
    let (version, heard) = scene.reports.recv_timeout(PATIENCE).expect("the page reports");
    assert_eq!(
        heard,
        "/ws one,/ws zwei \u{1F600},1000,true /own one,/own zwei \u{1F600},1000,true"
    );
    assert_eq!(version, Version::HTTP_2, "agreed on by ALPN");
    // On the page's own connection by RFC 8441; to the other port there is none yet, and the browser upgrades one.
    assert_eq!((scene.upgraded("http"), scene.upgraded("ws")), (0, 1));
}
