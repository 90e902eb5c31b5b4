//! Target `envelope`; its body and what it asserts are in `ws_server::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ws_server::fuzzing::envelope(data));
