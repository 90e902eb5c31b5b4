//! Descriptors for tests with thousands of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those it starts from here on, have at least `count` descriptors.
pub fn want_descriptors(count: usize) {
    let count = count as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return;
    }
    assert!(
        maximum.is_none_or(|maximum| maximum >= count),
        "this machine gives a process {maximum:?} descriptors, {count} are needed"
    );
    let raised = Rlimit {
        current: Some(count),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit everybody may");
}
